"""How far event time has come: no record older than the watermark is expected any more.

It is the greatest event time seen minus the allowed out-of-orderness. When no record has come for `idle`, event time is
taken to pass as fast as time itself since then, but no further than to the end of the last window that can hold a
record; so windows close when input stops, and what comes later finds no window closed that was never begun.
"""

from __future__ import annotations

from typing import Any

__all__ = ["NEVER", "Watermark"]

NEVER = -(2**63)
"""The watermark before the first record, microseconds: older than any time."""


class Watermark:
    """Times are microseconds; `value` never falls."""

    __slots__ = ("_idle", "_out_of_order", "arrived", "seen", "value")

    def __init__(self, *, out_of_order: int, idle: int) -> None:
        """`idle` 0: windows stay open while nothing comes."""
        self.seen = NEVER
        self.arrived = NEVER
        self.value = NEVER
        self.configure(out_of_order=out_of_order, idle=idle)

    def configure(self, *, out_of_order: int, idle: int) -> None:
        """Change the limits from now on."""
        self._out_of_order = out_of_order
        self._idle = idle

    def observe(self, time: int, arrival: int) -> bool:
        """A record with this event time came; True when the watermark has risen."""
        self.arrived = max(self.arrived, arrival)
        if time <= self.seen:
            return False
        self.seen = time
        return self._rise(time - self._out_of_order)

    def after_silence(self, now: int, since: int, horizon: int) -> int:
        """The watermark when nothing has come up to `now`; silence counts from `since` at the earliest. `horizon` is
        the end of the last window that can hold a record."""
        silence = now - max(self.arrived, since)
        if not self._idle or self.seen == NEVER or silence < self._idle:
            return self.value
        return max(self.value, min(self.seen - self._out_of_order + silence, horizon))

    def pass_silence(self, now: int, since: int, horizon: int) -> bool:
        """Rise to `after_silence`; True when that is more than before."""
        return self._rise(self.after_silence(now, since, horizon))

    def dump(self) -> list[int]:
        """As JSON; `load` reads it."""
        return [self.seen, self.arrived, self.value]

    def load(self, state: list[Any]) -> None:
        """Become what `dump` wrote."""
        self.seen, self.arrived, self.value = state

    def _rise(self, to: int) -> bool:
        if to <= self.value:
            return False
        self.value = to
        return True
