"""The lag of the real service's query index: queries see changes of twins some seconds late, the registry at once.

While a lag is wanted, triggers keep every row of ``identities`` as it was before each change. A query then takes the
rows that have not changed lately as they are, and those that have as they were when the lag began. Without a lag there
are no triggers and nothing is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from iot_core.clock import Clock
from iot_core.errors import StoreError
from local_hub.rows import COLUMNS
from local_hub.timing import until
from transport.store import Store

__all__ = ["INDEX_LAG_S", "Earlier", "QueryLag", "rows_of"]

INDEX_LAG_S = 5.0
"""What ``--like-azure`` sets; the service promises no number ("within a few seconds", under load minutes)."""

Key: TypeAlias = tuple[str, str]
Earlier: TypeAlias = Mapping[Key, tuple[Any, ...] | None]
"""Rows by their key as queries have to see them; None: not there."""

_log = logging.getLogger(__name__)

_OLD = ", ".join(f"OLD.{name}" for name in COLUMNS.split(", "))
# What a query can see of a row, besides who is connected.
_SEEN = ("etag", "status", "model_id", "version", "configurations", "parent_scopes", "authentication", "iot_edge")
_CHANGED = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _SEEN)
_KEEP_OLD = (
    "INSERT INTO query_backlog (device_id, module_id, changed, row) "
    f"VALUES (OLD.device_id, OLD.module_id, hub_time(), json_array({_OLD}));"
)
_KEEP_NONE = (
    "INSERT INTO query_backlog (device_id, module_id, changed) VALUES (NEW.device_id, NEW.module_id, hub_time());"
)
# Temporary: they live as long as the connection of this run's writer.
_TRIGGERS = (
    f"CREATE TEMP TRIGGER query_lag_update BEFORE UPDATE ON main.identities WHEN {_CHANGED} BEGIN {_KEEP_OLD} END",
    f"CREATE TEMP TRIGGER query_lag_delete BEFORE DELETE ON main.identities BEGIN {_KEEP_OLD} END",
    f"CREATE TEMP TRIGGER query_lag_insert AFTER INSERT ON main.identities BEGIN {_KEEP_NONE} END",
)
_LATELY = "changed > ? AND changed <= ?"
_SELECT = f"SELECT device_id, module_id, row FROM query_backlog WHERE {_LATELY} ORDER BY number DESC"
_DROP = f"DELETE FROM query_backlog WHERE NOT ({_LATELY})"
_ANY_TO_DROP = f"SELECT EXISTS (SELECT 1 FROM query_backlog WHERE NOT ({_LATELY}))"


class QueryLag:
    """``seconds`` of the hub's clock; 0: no lag."""

    def __init__(self, store: Store, clock: Clock, seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep what changes; StoreError."""
        await self._store.write(self._prepare)
        if self._seconds:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Drop nothing any more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def earlier(self, connection: sqlite3.Connection) -> Earlier:
        """The rows that changed within the lag, as they were before it."""
        if not self._seconds:
            return {}
        rows = connection.execute(_SELECT, self._span()).fetchall()
        # The oldest of each key comes last and stays.
        return {(device, module): None if row is None else tuple(json.loads(row)) for device, module, row in rows}

    def _span(self) -> tuple[float, float]:
        now = self._clock.now()
        return now - self._seconds, now

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(_DROP, self._span())
        if self._seconds:
            connection.create_function("hub_time", 0, self._clock.now)
            for trigger in _TRIGGERS:
                connection.execute(trigger)

    async def _run(self) -> None:
        while True:
            await until(self._clock, self._clock.monotonic() + self._seconds)
            try:
                await self._drop()
            except StoreError:
                _log.exception("old rows of the lagging query index were not dropped")

    async def _drop(self) -> None:
        span = self._span()
        if self._store.read(lambda connection: connection.execute(_ANY_TO_DROP, span).fetchone()[0]):
            await self._store.write(lambda connection: connection.execute(_DROP, span) and None)


def rows_of(earlier: Earlier, *, modules: bool) -> Iterator[tuple[Any, ...]]:
    """The rows of devices, or of modules, in the order of their keys."""
    for key in sorted(earlier):
        row = earlier[key]
        if row is not None and bool(key[1]) is modules:
            yield row
