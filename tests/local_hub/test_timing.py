"""Waits by a clock that stands still: they end when it is moved, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from iot_core.clock import ManualClock, OffsetClock
from local_hub.timing import pause, until, until_time, within

WAITS: list[tuple[str, Callable[[Any], Coroutine[Any, Any, Any]]]] = [
    ("until", lambda clock: until(clock, clock.monotonic() + 3600)),
    ("until_time", lambda clock: until_time(clock, clock.now() + 3600)),
]


async def started(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has come to its first wait."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(("name", "wait"), WAITS)
async def test_a_wait_of_an_hour_ends_when_the_clock_is_moved_by_one(
    name: str, wait: Callable[[Any], Coroutine[Any, Any, Any]], clock: ManualClock
) -> None:
    task = await started(wait(clock))
    clock.advance(3599)
    await asyncio.sleep(0)
    assert not task.done(), name
    clock.advance(1)
    await asyncio.wait_for(task, 1)


async def test_a_wait_for_a_time_of_day_goes_on_when_the_clock_is_set_back(clock: ManualClock) -> None:
    moved = OffsetClock(clock)
    moved.advance(600)
    task = await started(until_time(moved, moved.now() + 60))
    moved.reset()
    moved.advance(60)
    await asyncio.sleep(0)
    assert not task.done()
    moved.advance(600)
    await asyncio.wait_for(task, 1)


async def test_a_condition_ends_a_wait_too(clock: ManualClock) -> None:
    seen = list[int]()
    assert await until(clock, clock.monotonic() + 3600, lambda: bool(seen) or bool(seen.append(1))) is True
    assert await until(clock, clock.monotonic(), lambda: False) is False


async def test_work_that_takes_longer_than_it_may_is_cancelled(clock: ManualClock) -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = await started(within(clock, 30, work()))
    clock.advance(30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 1)
    await asyncio.wait_for(cancelled.wait(), 1)


async def test_work_in_time_gives_its_result_at_once(clock: ManualClock) -> None:
    async def work() -> int:
        return 7

    assert await asyncio.wait_for(within(clock, 3600, work()), 1) == 7


@pytest.mark.parametrize("wake", [lambda clock, event: event.set(), lambda clock, event: clock.advance(1)])
async def test_a_pause_ends_with_its_event_or_a_move(
    wake: Callable[[ManualClock, asyncio.Event], Awaitable[None] | None], clock: ManualClock
) -> None:
    event = asyncio.Event()
    task = await started(pause(clock, None, event))
    wake(clock, event)
    await asyncio.wait_for(task, 1)
