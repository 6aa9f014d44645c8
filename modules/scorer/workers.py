"""Threads for work that would hold up the event loop, with a bound on what waits for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from iot_core.errors import EdgeyardError

__all__ = ["BusyError", "Workers"]

T = TypeVar("T")

WAITING_PER_WORKER = 32
"""Jobs in line behind each worker: at 10 ms a job a third of a second, beyond which callers are better told to wait."""


class BusyError(EdgeyardError):
    """Too much is waiting already; try again in a moment."""


class Workers:
    """As many threads as cores (or `count`). Use from one event loop."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="scorer")
        self._jobs = 0

    async def run(self, job: Callable[[], T]) -> T:
        """The result of `job`, run on a worker; BusyError when too many jobs wait."""
        if self._jobs >= self.count * (1 + WAITING_PER_WORKER):
            raise BusyError(f"{self._jobs} requests are waiting: try again in a moment")
        self._jobs += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, job)
        finally:
            self._jobs -= 1

    def close(self) -> None:
        """Let running jobs end; drop those that wait."""
        self._pool.shutdown(wait=False, cancel_futures=True)
