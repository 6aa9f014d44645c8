"""Rules of Azure Storage's blob service that need no I/O: who may do what, names, checksums, ranges, refusals."""
