"""The local IoT Edge runtime: agent, edge hub and workload API for one edge device, against any IoT Hub."""
