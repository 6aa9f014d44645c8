"""Waiting for a time by a clock that may be moved by hand, or for news, whatever comes first."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from iot_core.clock import Clock

__all__ = ["Alarm"]


class Alarm:
    """One waiter; `close` it, so that the clock lets go of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()
        self._forget = clock.watch(self._rung.set)

    def ring(self) -> None:
        """End the wait that is under way, or the next one at once."""
        self._rung.set()

    async def until(self, when: float | None) -> None:
        """Return at `when` (unix seconds; None: never), or before that when it is rung or the clock was moved: look
        again then."""
        remaining = None if when is None else max(when - self._clock.now(), 0.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(remaining):
                await self._rung.wait()
        self._rung.clear()

    def close(self) -> None:
        self._forget()
