"""Indexes on tags and properties that queries ask for: made when the first query asks, so that later ones need no scan.

Which are there is remembered in the table ``query_indexes``. Each makes every write of a twin dearer, so there are few:
one more takes the place of the one that was not asked for longest. An index changes how fast an answer comes, never
what it is: the query judges every row that SQLite finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import sqlite3
import time
from collections.abc import Iterable
from functools import partial

import orjson

from iot_core.errors import StoreError
from iot_core.query import Condition
from local_hub.queries.filters import DOUBT, json_column
from transport.store import Store

__all__ = ["MOST_INDEXES", "QueryIndexes"]

MOST_INDEXES = 8
"""At once; each adds some 4 µs to a write of a twin."""
WORTH_TWINS = 2000
"""With fewer twins a scan takes some 2 ms, and an index is not worth its cost."""
LOOK_S = 1.0
"""Between two looks at how many twins there are."""
REPLACE_S = 60.0
"""Between two replacements: queries on more paths than there are indexes must not have them made over and over."""

Path = tuple[str, ...]
_log = logging.getLogger(__name__)


class QueryIndexes:
    """``asked`` it of every query's condition; what is missing is then made in the background."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: dict[Path, float] = {}
        self._work: asyncio.Task[None] | None = None
        self._next_look = 0.0
        self._next_replacement = 0.0

    async def start(self) -> None:
        """Learn which indexes there are."""
        self._used = dict.fromkeys(await self._store.aread(_remembered), 0.0)

    async def stop(self) -> None:
        """Return once nothing is in the making."""
        if self._work is not None:
            await self._work

    def asked(self, condition: Condition) -> None:
        """A query with that condition runs: note what it would have an index for."""
        now = time.monotonic()
        terms = (*condition.equalities, *condition.memberships)
        paths = {path for path, _ in terms if json_column(path) is not None}
        known = paths & self._used.keys()
        self._used.update(dict.fromkeys(known, now))
        busy = self._work is not None and not self._work.done()
        if paths - known and not known and not busy and now >= self._next_look:
            self._work = asyncio.create_task(self._make(min(paths), now))

    async def made(self) -> None:
        """Return once what is in the making is made."""
        if self._work is not None:
            await asyncio.shield(self._work)

    async def _make(self, path: Path, now: float) -> None:
        if not await self._store.aread(_is_worth_it):
            self._next_look = now + LOOK_S
            return
        old = self._to_replace()
        if old and now < self._next_replacement:
            return
        with contextlib.suppress(StoreError):  # without it queries are slower, nothing else
            await self._store.write(partial(_replace, new=path, old=old))
            for gone in old:
                del self._used[gone]
                self._next_replacement = now + REPLACE_S
            self._used[path] = now
            _log.info("made an index on %s", ".".join(path))

    def _to_replace(self) -> list[Path]:
        """The indexes that must go for one more: those not asked for longest."""
        surplus = len(self._used) + 1 - MOST_INDEXES
        return sorted(self._used, key=self._used.__getitem__)[: max(surplus, 0)]


def _remembered(connection: sqlite3.Connection) -> list[Path]:
    return [tuple(orjson.loads(path)) for (path,) in connection.execute("SELECT path FROM query_indexes")]


def _is_worth_it(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT 1 FROM identities LIMIT 1 OFFSET ?", (WORTH_TWINS - 1,)).fetchone()
    return row is not None


def _replace(connection: sqlite3.Connection, *, new: Path, old: Iterable[Path]) -> None:
    for path in old:
        connection.execute(f"DROP INDEX IF EXISTS {_name(path)}")
        connection.execute("DELETE FROM query_indexes WHERE path = ?", (_key(path),))
    # Behind the value come the ids: rows of one value lie in the order in which queries give them.
    columns = f"{json_column(new)}, device_id, module_id, {DOUBT}"
    connection.execute(f"CREATE INDEX IF NOT EXISTS {_name(new)} ON identities ({columns})")
    connection.execute("INSERT OR REPLACE INTO query_indexes VALUES (?)", (_key(new),))


def _key(path: Path) -> str:
    return orjson.dumps(path).decode()


def _name(path: Path) -> str:
    return f"query_{hashlib.sha256(_key(path).encode()).hexdigest()[:16]}"
