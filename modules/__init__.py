"""Edge modules: each folder is one module that a user can copy, with its Dockerfiles, settings and README."""
