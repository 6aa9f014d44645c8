"""The device layer: typed twin settings, the application frame, the client for any IoT Hub, and simulated devices."""
