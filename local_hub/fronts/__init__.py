"""The hub's fronts: they translate MQTT and HTTPS into calls of the core, and its refusals back."""
