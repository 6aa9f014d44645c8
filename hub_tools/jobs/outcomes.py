"""What becomes of each device of a job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["FINAL", "MOVED", "DeviceState", "Outcome", "Tally"]

MOVED = "somebody wrote to it meanwhile"
"""Cause of a pending outcome: the twin was no longer the one that had been noted, and nothing was written to it."""


class DeviceState(StrEnum):
    """Where a device stands in a job; `WRITTEN` is what the hub calls succeeded."""

    PENDING = "pending"
    SCHEDULED = "scheduled"
    WRITTEN = "written"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    SKIPPED = "skipped"


FINAL = frozenset(
    {
        DeviceState.ACKNOWLEDGED,
        DeviceState.REFUSED,
        DeviceState.FAILED,
        DeviceState.TIMED_OUT,
        DeviceState.SKIPPED,
    }
)
"""States that nothing follows; `WRITTEN` is one too where no acknowledgement is awaited."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A device's new state, and why where that needs saying."""

    device_id: str
    state: DeviceState
    cause: str = ""

    @property
    def moved(self) -> bool:
        """Whether the device is to be read, noted and written to again."""
        return self.state is DeviceState.PENDING and self.cause == MOVED


class Tally:
    """Devices by state; failures by cause with a few examples, however many there are."""

    EXAMPLES = 5
    CAUSES = 50
    OTHER = "other causes"

    def __init__(self) -> None:
        self.counts: Counter[DeviceState] = Counter()
        self.causes: Counter[tuple[DeviceState, str]] = Counter()
        self.examples: dict[tuple[DeviceState, str], list[str]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count a device that was in no state before."""
        self.counts[outcome.state] += 1
        if outcome.cause:
            self._note((outcome.state, outcome.cause), outcome.device_id)

    def move(self, old: DeviceState, outcome: Outcome) -> None:
        """Count a device that was in state `old`."""
        self.counts[old] -= 1
        self.add(outcome)

    def _note(self, key: tuple[DeviceState, str], device_id: str) -> None:
        if key not in self.examples and len(self.examples) >= self.CAUSES:
            key = (key[0], self.OTHER)
        self.causes[key] += 1
        shown = self.examples.setdefault(key, [])
        if len(shown) < self.EXAMPLES:
            shown.append(device_id)
