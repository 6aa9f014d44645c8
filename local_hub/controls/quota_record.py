"""The daily quota on disk, so that a restart gives nobody a day's messages again.

The count is written a second after it has changed, and when the hub stops: a hub that is killed may forget what came in
its last second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3

from iot_core.errors import StoreError
from local_hub.controls.quota import DailyQuota
from transport.store import Store

__all__ = ["QuotaRecord"]

WRITE_EVERY_S = 1.0

_log = logging.getLogger(__name__)


class QuotaRecord:
    """Keeps a quota; with None there is nothing to keep."""

    def __init__(self, store: Store, quota: DailyQuota | None) -> None:
        self._store = store
        self._quota = quota
        self._written = (0, 0)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on counting where the last run left off; StoreError."""
        if self._quota is None:
            return
        row = self._store.read(lambda connection: connection.execute("SELECT day, used FROM daily_quota").fetchone())
        if row is not None:
            self._quota.day, self._quota.used = self._written = row
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is left to write."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._write()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self._write()

    async def _write(self) -> None:
        assert self._quota is not None
        count = self._quota.day, self._quota.used
        if count == self._written:
            return

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO daily_quota (id, day, used) VALUES (1, ?, ?)", count)

        try:
            await self._store.write(work)
        except StoreError:
            _log.exception("the count of the day's messages was not written")
        else:
            self._written = count
