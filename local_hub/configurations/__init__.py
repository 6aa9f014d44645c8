"""Automatic configurations and edge deployments: kept, evaluated, carried out."""
