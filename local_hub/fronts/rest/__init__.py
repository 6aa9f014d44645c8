"""The REST API as data: one table of routes, and the small functions that translate each to the core."""
