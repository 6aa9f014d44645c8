"""Twins: how they change, and which of them a condition takes."""
