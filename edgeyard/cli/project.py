"""The folder of the Edgeyard project itself, which holds the deployment template and the edge modules."""

from __future__ import annotations

from pathlib import Path

__all__ = ["project_folder"]


def project_folder() -> Path:
    """The root of the repository this code runs from."""
    return Path(__file__).resolve().parents[2]
