"""The edge hub: modules' MQTT endpoint with routes, store-and-forward, twins and methods."""
