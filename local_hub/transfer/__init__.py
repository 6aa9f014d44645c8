"""Import and export jobs: the registry in a blob, and a blob into the registry."""
