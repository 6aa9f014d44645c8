"""`python -m edgeyard` is the command `edgeyard`."""

from edgeyard.cli.main import main

main()
