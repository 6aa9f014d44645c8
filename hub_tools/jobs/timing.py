"""Time as jobs see it, and how fast they go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from iot_core.clock import Clock, SystemClock

__all__ = ["Pace", "Timing", "pauses"]

GROWTH, LONGEST_PAUSE_S = 1.5, 5.0
"""Each look comes that much later than the one before: a hub of one small unit answers 20 queries a minute."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A clock, and the sleep that goes with it."""

    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class Pace:
    """Turns at an even rate, so many a second; None: as fast as they come. A refusal makes it slower for good.

    Up to `burst` turns may be saved up, since a throttle counts over a minute.
    """

    SLOWER = 0.7

    def __init__(self, per_second: float | None, timing: Timing, *, burst: int = 1) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._timing = timing
        self._burst = burst
        self._next = timing.clock.monotonic() - burst * self._interval

    async def turn(self) -> None:
        """Wait for the next turn."""
        if not self._interval:
            return
        now = self._timing.clock.monotonic()
        at = max(self._next, now - (self._burst - 1) * self._interval)
        self._next = at + self._interval
        if at > now:
            await self._timing.sleep(at - now)

    def refused(self) -> None:
        """The hub throttles: go slower."""
        self._interval /= self.SLOWER


def pauses(first_s: float) -> Iterator[float]:
    """Between looks at what changes by itself."""
    while True:
        yield first_s
        first_s = min(first_s * GROWTH, LONGEST_PAUSE_S)
