"""Waiting by a clock that may be moved by hand: a move ends the sleep, and whoever waits looks at the clock again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from iot_core.clock import Clock

__all__ = ["sleep", "until_time", "woken_by"]

_SHORTEST_S, _LONGEST_S = 0.001, 60.0
"""Of one sleep. Timers of the event loop stand still while the machine sleeps, but its time of day does not."""


async def until_time(clock: Clock, moment: float) -> None:
    """Wait until ``clock.now()`` reaches ``moment`` (unix seconds), also when the clock is set back meanwhile."""
    with woken_by(clock) as woken:
        while (left := moment - clock.now()) > 0:
            await sleep(left, woken)
            woken.clear()


@contextmanager
def woken_by(clock: Clock, event: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
    """An event that each move of the clock sets."""
    woken = event or asyncio.Event()
    forget = clock.watch(woken.set)
    try:
        yield woken
    finally:
        forget()


async def sleep(seconds: float | None, woken: asyncio.Event) -> None:
    """At most ``seconds``; less when ``woken`` is or gets set."""
    with suppress(TimeoutError):
        # Not wait_for: before Python 3.12 it may swallow a cancellation.
        async with asyncio.timeout(None if seconds is None else min(max(seconds, _SHORTEST_S), _LONGEST_S)):
            await woken.wait()
