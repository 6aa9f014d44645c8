"""Many calls at once, of which none is left running when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_bounded(
    function: Callable[[Item], Awaitable[Result]], items: Iterable[Item], *, at_once: int
) -> list[Result]:
    """`function` of each item, in the items' order, `at_once` of them at a time.

    The first failure is raised once the calls under way have been cancelled and have ended: unlike with a bare
    `asyncio.gather`, nothing uses the caller's connection after it is closed.
    """
    gate = asyncio.Semaphore(at_once)

    async def call(item: Item) -> Result:
        async with gate:
            return await function(item)

    tasks = [asyncio.ensure_future(call(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
