"""Waiting by the hub's own clock, so that a clock that is moved by hand ends a wait at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from iot_core.clock import Clock

__all__ = ["POLL_S", "until", "within"]

T = TypeVar("T")

# How late a moved clock, or a condition that nobody announces, may be noticed.
POLL_S = 0.05


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; TimeoutError (and ``work`` is cancelled) when ``seconds`` pass on the clock before."""
    deadline = clock.monotonic() + seconds
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            left = deadline - clock.monotonic()
            if left <= 0:
                raise TimeoutError
            await asyncio.wait({task}, timeout=min(left, POLL_S))
        return task.result()
    finally:
        task.cancel()


async def until(clock: Clock, deadline: float, condition: Callable[[], bool] = lambda: False) -> bool:
    """Wait until the condition holds or ``clock.monotonic()`` reaches ``deadline``; whether the condition holds."""
    holds = condition()
    while not holds and clock.monotonic() < deadline:
        # Nobody announces that a clock was moved or a condition came true.
        await asyncio.sleep(min(deadline - clock.monotonic(), POLL_S))
        holds = condition()
    return holds
