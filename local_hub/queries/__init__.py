"""Queries over twins and jobs, with the indexes that they ask for."""
