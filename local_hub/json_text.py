"""JSON as the store keeps it: compact text; numbers stay as they were written (1 and 1.0 differ)."""

from __future__ import annotations

from typing import Any

import orjson

from iot_core.hub_errors import hub_error

__all__ = ["dump", "load"]


def dump(value: Any) -> str:
    """Compact JSON text; HubError ArgumentInvalid when the value has no JSON form (a lone surrogate, say)."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise hub_error("ArgumentInvalid", f"The value cannot be stored as JSON: {error}.") from error


def load(text: str | bytes) -> Any:
    """The value of stored JSON text."""
    return orjson.loads(text)
