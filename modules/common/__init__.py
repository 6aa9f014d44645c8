"""What the modules share: delivery to outputs, JSON message bodies, an HTTP server that says why a port is refused."""
