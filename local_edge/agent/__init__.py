"""The edge agent: reads the deployment of $edgeAgent, runs its modules, reports what runs."""
