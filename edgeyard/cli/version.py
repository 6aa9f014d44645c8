"""The version of the installed distribution."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version"]


def version() -> str:
    """Version text, or `0+unknown` when the code runs without having been installed."""
    try:
        return metadata.version("edgeyard")
    except metadata.PackageNotFoundError:
        return "0+unknown"
