"""Drops what has expired or is too much, in the background and by the hub's clock.

Whole segments go, oldest first, a few at a time so that writes in between hardly wait. A partition's last segment stays
on disk until another follows, although its events may have expired; readers do not get those.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from iot_core.clock import Clock
from iot_core.errors import InputError, StoreError
from iot_core.limits import EVENT_RETENTION_DAYS
from local_hub.timing import until
from transport import store_streams
from transport.store import Store

__all__ = ["Retention", "RetentionOptions"]

DAY_S = 24 * 3600
INTERVAL_S = 60
"""Of the hub's clock, between two looks at all partitions."""
SEGMENTS_AT_ONCE = 200
"""Dropped in one write: some milliseconds, even where each holds a megabyte."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetentionOptions:
    """How long events stay, 1 to 7 days, and how many bytes of them each partition may keep; InputError."""

    days: int = EVENT_RETENTION_DAYS.start
    partition_bytes: int = 2**30

    def __post_init__(self) -> None:
        if self.days not in EVENT_RETENTION_DAYS:
            last = EVENT_RETENTION_DAYS.stop - 1
            raise InputError(f"events cannot be kept for {self.days} days: {EVENT_RETENTION_DAYS.start} to {last} can")
        if self.partition_bytes < 1:
            raise InputError(f"a partition cannot keep {self.partition_bytes} bytes of events: use 1 or more")

    @property
    def seconds(self) -> int:
        return self.days * DAY_S


class Retention:
    """Looks at streams every INTERVAL_S."""

    def __init__(self, store: Store, clock: Clock, options: RetentionOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._task: asyncio.Task[None] | None = None

    def start(self, streams: Sequence[str]) -> None:
        """Begin to look, now for the first time."""
        self._task = asyncio.create_task(self._run(streams))

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def trim(self, stream: str) -> None:
        """Drop what a stream need not keep; StoreError."""
        keep = await self._store.aread(partial(self._first_kept, stream=stream))
        drop = partial(store_streams.drop_before, stream=stream, record=keep, limit=SEGMENTS_AT_ONCE)
        while await self._store.write(drop) == SEGMENTS_AT_ONCE:
            pass

    def _first_kept(self, connection: sqlite3.Connection, stream: str) -> int:
        by_time = store_streams.first_after(connection, stream, self._clock.now() - self._options.seconds)
        excess = store_streams.size_of(connection, stream) - self._options.partition_bytes
        return max(by_time, store_streams.first_beyond(connection, stream, excess))

    async def _run(self, streams: Sequence[str]) -> None:
        while True:
            next_look = self._clock.monotonic() + INTERVAL_S
            for stream in streams:
                try:
                    await self.trim(stream)
                except StoreError:
                    _log.exception("%s: what has expired was not dropped", stream)
            await until(self._clock, next_look)
