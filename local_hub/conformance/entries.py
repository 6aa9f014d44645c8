"""What a row of the ledger is. Operations over HTTPS are spelled as in their tables of routes."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

__all__ = ["Entry", "State", "area", "row"]


class State(enum.Enum):
    """How close an operation is to the service's."""

    EXACT = "exact"
    DOCUMENTED = "documented"
    APPROXIMATE = "approximate"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One operation of one area; the note is a sentence or empty.

    ``test`` is the pytest node that shows it, for what is refused the refusal. ``code`` names what does it, each as
    "file::name"; empty for an operation of a table of routes, which is found by its name. ``seen_on_azure`` is the day
    when a comparison with a live hub last found no difference; None: never.
    """

    area: str = ""
    operation: str
    state: State
    test: str
    code: tuple[str, ...] = field(default=())
    note: str = ""
    seen_on_azure: date | None = None

    def document(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "area": self.area,
            "operation": self.operation,
            "state": self.state.value,
            "test": self.test,
            "lastSeenOnAzure": self.seen,
            "note": self.note,
        }

    @property
    def seen(self) -> str:
        """The day, or "never"."""
        return self.seen_on_azure.isoformat() if self.seen_on_azure else "never"


def row(operation: str, state: State, test: str, note: str = "", *code: str) -> Entry:
    """A row that its area adopts."""
    return Entry(operation=operation, state=state, test=test, note=note, code=code)


def area(name: str, *rows: Entry) -> tuple[Entry, ...]:
    """The rows of an area."""
    return tuple(replace(entry, area=name) for entry in rows)
