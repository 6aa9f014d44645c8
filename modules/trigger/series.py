"""The state of one rule for one key, and how messages and time change it; no I/O.

| phase   | condition true              | condition false     | clear true | its time comes |
|---------|-----------------------------|---------------------|------------|----------------|
| idle    | pending, or raised at once  | -                   | -          | -              |
| pending | -                           | idle                | -          | raised         |
| raised  | -                           | idle if no `clear`  | idle       | -              |

Becoming raised is a firing. A pending series is due once the condition has held for `for` seconds and the cool-down
since the firing before is over. An undefined condition changes nothing; silence means that the last message still
counts. Of a condition and a `clear` that are both true the condition counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from iot_core.routing import Truth

__all__ = ["IDLE", "Phase", "Series", "Timing", "advance", "observe"]


class Phase(StrEnum):
    """See the table."""

    IDLE = "idle"
    PENDING = "pending"
    RAISED = "raised"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds."""

    hold: float
    cooldown: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """Times in unix seconds: when the condition became true, and the last firing."""

    phase: Phase = Phase.IDLE
    since: float = 0.0
    fired_at: float | None = None

    def due_at(self, timing: Timing) -> float | None:
        """When a pending series fires by itself."""
        if self.phase is not Phase.PENDING:
            return None
        return max(self.since + timing.hold, self.quiet_until(timing))

    def quiet_until(self, timing: Timing) -> float:
        """The end of the cool-down; 0 when there was no firing."""
        return 0.0 if self.fired_at is None else self.fired_at + timing.cooldown

    def is_forgettable(self, timing: Timing, now: float) -> bool:
        """True if a series that was never seen would behave the same."""
        return self.phase is Phase.IDLE and self.quiet_until(timing) <= now


IDLE = Series()


def observe(series: Series, condition: Truth, clear: Truth | None, timing: Timing, now: float) -> Series:
    """After a message, the very same series if that changed nothing; `clear` is None for a rule without one."""
    if condition is True and series.phase is Phase.IDLE:
        return advance(replace(series, phase=Phase.PENDING, since=now), timing, now)
    if _ends(series.phase, condition, clear):
        return replace(series, phase=Phase.IDLE)
    return advance(series, timing, now)


def advance(series: Series, timing: Timing, now: float) -> Series:
    """After time has passed, the very same series if that changed nothing."""
    due = series.due_at(timing)
    if due is None or now < due:
        return series
    return replace(series, phase=Phase.RAISED, fired_at=now)


def _ends(phase: Phase, condition: Truth, clear: Truth | None) -> bool:
    if phase is Phase.RAISED and clear is not None:
        return clear is True and condition is not True
    return phase is not Phase.IDLE and condition is False
