"""The command line `edgeyard` and the demo; nothing of ours imports this package."""
