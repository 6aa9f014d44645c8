"""What runs modules: the seam `Engine` and the engine of local processes."""
