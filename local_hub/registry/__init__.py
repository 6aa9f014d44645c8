"""The identity registry: devices, modules, scopes, bulk changes."""
