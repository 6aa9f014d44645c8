"""Scheduled jobs over many devices."""
