"""Stacks: deployments and layers written as a Python program, previewed, applied, checked for drift and taken down."""
