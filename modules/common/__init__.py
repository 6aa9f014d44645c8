"""What the modules share: the frame of a process with health and metrics, delivery to outputs, bodies, HTTP, models."""
