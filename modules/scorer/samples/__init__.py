"""Six small photographs of known content, for the demo and the tests (see README.md for origin and licence)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["sample_paths"]


def sample_paths() -> dict[str, Path]:
    """Name → path of every photograph, sorted by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.jpg"))}
