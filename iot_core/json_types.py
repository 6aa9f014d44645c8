"""Names for JSON as Python holds it."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["JsonObject"]

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object: text keys; values are None, bool, int, float, str, list or another object."""
