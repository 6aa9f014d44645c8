"""Waiting by the hub's own clock: the one place that knows how. A clock that is moved by hand ends a wait at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from iot_core.clock import Clock
from transport.waiting import sleep, until_time, woken_by

__all__ = ["POLL_S", "pause", "until", "until_time", "within"]

T = TypeVar("T")

POLL_S = 0.05
"""How late a condition that nobody announces may be noticed."""


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; TimeoutError (and ``work`` is cancelled) when ``seconds`` pass on the clock before."""
    deadline = clock.monotonic() + seconds
    task = asyncio.ensure_future(work)
    try:
        with woken_by(clock) as woken:
            task.add_done_callback(lambda _task: woken.set())
            while not task.done():
                if (left := deadline - clock.monotonic()) <= 0:
                    raise TimeoutError
                await sleep(left, woken)
                woken.clear()
        return task.result()
    finally:
        task.cancel()


async def until(clock: Clock, deadline: float, condition: Callable[[], bool] | None = None) -> bool:
    """Wait until the condition holds or ``clock.monotonic()`` reaches ``deadline``; whether the condition holds."""
    with woken_by(clock) as woken:
        while True:
            if condition is not None and condition():
                return True
            if (left := deadline - clock.monotonic()) <= 0:
                return False
            await sleep(left if condition is None else min(left, POLL_S), woken)
            woken.clear()


async def pause(clock: Clock, seconds: float | None, event: asyncio.Event) -> None:
    """Return once ``event`` is set, as each move of the clock sets it too, or ``seconds`` have passed (None: never).

    It may return earlier: the caller looks at the clock again.
    """
    with woken_by(clock, event):
        await sleep(seconds, event)
