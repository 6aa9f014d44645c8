"""What the control socket of a running edge carries: one JSON object a line, one request and one answer a connection.

Requests: {"verb": "list"}, {"verb": "restart", "module": name}, {"verb": "stop"}.
Answers: {"result": …} or {"error": text}.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_LINE_BYTES", "ModuleRow", "describe"]

MAX_LINE_BYTES = 1024 * 1024
EXACT_BELOW_S = 20
"""Shorter times are told to the second, longer ones roughly, as `iotedge list` does."""

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, kw_only=True)
class ModuleRow:
    """One module as `iotedge list` shows it; times in unix seconds, 0 where there is none."""

    name: str
    status: str
    image: str
    since: float = 0.0
    exit_code: int = 0

    def cells(self, now: float) -> tuple[str, str, str, str]:
        """NAME, STATUS, DESCRIPTION, Config."""
        return self.name, self.status, describe(self, now), self.image


def describe(row: ModuleRow, now: float) -> str:
    """`Up 5 minutes`, `Stopped 2 hours ago`, `Failed (1) 3 minutes ago`."""
    if not row.since:
        return "Stopped" if row.status == "stopped" else "Unknown"
    age = _rough(max(now - row.since, 0.0))
    match row.status:
        case "running":
            return f"Up {age}"
        case "failed" | "backoff":
            return f"Failed ({row.exit_code}) {age} ago"
        case _:
            return f"Stopped {age} ago"


def _rough(seconds: float) -> str:
    whole = int(seconds)
    if whole < EXACT_BELOW_S:
        return _count(whole, "second")
    size, unit = next((size, unit) for size, unit in _UNITS if whole >= size)
    return _count(whole // size, unit)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
