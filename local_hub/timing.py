"""Waiting by the hub's own clock: the one place that knows how. A clock that is moved by hand ends a wait at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from iot_core.clock import Clock

__all__ = ["POLL_S", "pause", "until", "until_time", "within"]

T = TypeVar("T")

POLL_S = 0.05
"""How late a condition that nobody announces may be noticed."""
_SHORTEST_S, _LONGEST_S = 0.001, 60.0
"""Of one sleep. Timers of the event loop stand still while the machine sleeps, but its time of day does not."""


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; TimeoutError (and ``work`` is cancelled) when ``seconds`` pass on the clock before."""
    deadline = clock.monotonic() + seconds
    task = asyncio.ensure_future(work)
    try:
        with _woken_by(clock) as woken:
            task.add_done_callback(lambda _task: woken.set())
            while not task.done():
                if (left := deadline - clock.monotonic()) <= 0:
                    raise TimeoutError
                await _sleep(left, woken)
                woken.clear()
        return task.result()
    finally:
        task.cancel()


async def until(clock: Clock, deadline: float, condition: Callable[[], bool] | None = None) -> bool:
    """Wait until the condition holds or ``clock.monotonic()`` reaches ``deadline``; whether the condition holds."""
    with _woken_by(clock) as woken:
        while True:
            if condition is not None and condition():
                return True
            if (left := deadline - clock.monotonic()) <= 0:
                return False
            await _sleep(left if condition is None else min(left, POLL_S), woken)
            woken.clear()


async def until_time(clock: Clock, moment: float) -> None:
    """Wait until ``clock.now()`` reaches ``moment`` (unix seconds), also when the clock is set back meanwhile."""
    with _woken_by(clock) as woken:
        while (left := moment - clock.now()) > 0:
            await _sleep(left, woken)
            woken.clear()


async def pause(clock: Clock, seconds: float | None, event: asyncio.Event) -> None:
    """Return once ``event`` is set, as each move of the clock sets it too, or ``seconds`` have passed (None: never).

    It may return earlier: the caller looks at the clock again.
    """
    with _woken_by(clock, event):
        await _sleep(seconds, event)


@contextmanager
def _woken_by(clock: Clock, event: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
    """An event that each move of the clock sets."""
    woken = event or asyncio.Event()
    forget = clock.watch(woken.set)
    try:
        yield woken
    finally:
        forget()


async def _sleep(seconds: float | None, woken: asyncio.Event) -> None:
    """At most ``seconds``; less when ``woken`` is or gets set."""
    with suppress(TimeoutError):
        # Not wait_for: before Python 3.12 it may swallow a cancellation.
        async with asyncio.timeout(None if seconds is None else min(max(seconds, _SHORTEST_S), _LONGEST_S)):
            await woken.wait()
