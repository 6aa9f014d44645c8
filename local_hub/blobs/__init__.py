"""A small blob service on the hub's HTTPS port, for the files that devices upload: block blobs in containers.

It takes what unmodified clients of Azure Storage send: whole blobs and blocks, read back with ranges. Everything else
of the service is refused by name.
"""
