"""Thin commands: read the options, call a library function, print what it gave."""
