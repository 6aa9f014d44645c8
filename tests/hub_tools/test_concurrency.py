"""Many calls at once, of which none outlives a failure."""

from __future__ import annotations

import asyncio

import pytest

from hub_tools.concurrency import map_bounded


async def test_results_come_in_the_order_of_the_items() -> None:
    async def late_for_the_first(number: int) -> int:
        for _ in range(10 - number):
            await asyncio.sleep(0)
        return number

    assert await map_bounded(late_for_the_first, range(10), at_once=4) == list(range(10))


async def test_no_more_than_that_many_run_at_once() -> None:
    running: set[int] = set()
    most = 0

    async def run(number: int) -> None:
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.remove(number)

    await map_bounded(run, range(20), at_once=3)
    assert most == 3


async def test_a_failure_is_raised_when_the_others_have_ended() -> None:
    ended = []

    async def fail_at_two(number: int) -> None:
        if number == 2:
            raise ValueError("two")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    with pytest.raises(ValueError, match="two"):
        await map_bounded(fail_at_two, range(4), at_once=4)
    assert ended == [0, 1, 3]
