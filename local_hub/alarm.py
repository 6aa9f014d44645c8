"""An alarm on the hub's own clock, which may be moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from iot_core.clock import Clock
from local_hub.timing import pause

__all__ = ["Alarm"]


class Alarm:
    """Awaits ``ring`` each time the clock reaches the time that was set last; ringing takes that time away."""

    def __init__(self, clock: Clock, ring: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._ring = ring
        self._at: float | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def set(self, at: float | None) -> None:
        """Ring at ``at`` (unix seconds) instead of what was set before; None: not at all."""
        self._at = at
        self._changed.set()

    def start(self) -> None:
        """Begin to watch the clock."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Never ring again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            while self._at is None or self._clock.now() < self._at:
                await self._pause(self._at)
            self._at = None
            await self._ring()

    async def _pause(self, at: float | None) -> None:
        """Until another time is set, the clock is moved or the time that is set has come."""
        self._changed.clear()
        await pause(self._clock, None if at is None else at - self._clock.now(), self._changed)
