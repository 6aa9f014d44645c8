"""The embedded IoT Hub: one durable core (``local_hub.hub``) and the fronts that translate protocols to it."""
