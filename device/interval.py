"""A repeating wait whose length can change while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress


class Interval:
    """Ticks every `length()` seconds, the first time at once, without drifting.

    After `changed` a new length counts from the tick before, so that a shorter one takes effect immediately.
    """

    def __init__(self, length: Callable[[], float]) -> None:
        self._length = length
        self._changed = asyncio.Event()
        self._last: float | None = None

    def changed(self) -> None:
        """The length has changed: look at it again."""
        self._changed.set()

    async def tick(self) -> None:
        """Return when the next tick is due; ticks that were missed are not made up for."""
        now = asyncio.get_running_loop().time
        if self._last is None:
            self._last = now()
            return
        while (remaining := self._last + self._length() - now()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._changed.wait()
        self._last = max(self._last + self._length(), now() - self._length())
