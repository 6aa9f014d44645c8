"""What the aggregator keeps on disk: a journal of what went in, a snapshot of the state, and what was sent since."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from iot_core.errors import StoreError
from modules.aggregator.entries import Entry, decode
from transport.store import Store
from transport.store_streams import drop_before, end_of

__all__ = ["Archive"]

FILE_NAME = "aggregator.db"
JOURNAL = "journal"
SCHEMA = (Path(__file__).with_name("schema_v1.sql"),)
_ALL_SEGMENTS = 2**31


class Archive:
    """One file in `folder`. Everything is on disk, synced, before a caller hears of it; StoreError where it is not."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error.strerror}; name another in AGGREGATOR_STATE") from error
        self._store = Store.open(folder / FILE_NAME, schema=SCHEMA)

    @property
    def end(self) -> int:
        """The number of the entry to come."""
        return self._store.read(lambda connection: end_of(connection, JOURNAL))

    def snapshot(self) -> tuple[int, dict[str, Any] | None]:
        """The last snapshot: the first entry that is not in it, and the state; 0 and None without one."""
        row = self._store.read(lambda c: c.execute("SELECT position, state FROM snapshot").fetchone())
        return (row[0], orjson.loads(row[1])) if row else (0, None)

    def entries(self, position: int) -> Iterator[Entry]:
        """The journal from an entry on."""
        return map(decode, self._store.records(JOURNAL, position))

    def acknowledged(self) -> set[str]:
        """Ids of the emissions acknowledged since the snapshot."""
        return set(self._store.read(lambda c: [row[0] for row in c.execute("SELECT id FROM acknowledged")]))

    async def append(self, entries: Sequence[bytes], stamp: float) -> int:
        """Add entries to the journal; the number of the first, once they are on disk."""
        return await self._store.append(JOURNAL, entries, stamp=stamp)

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Note that these emissions were acknowledged."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO acknowledged VALUES (?)", [(one,) for one in ids])

        await self._store.write(work)

    async def keep(self, position: int, state: bytes, pending: Collection[str]) -> None:
        """Put a snapshot in the place of the last, and drop what it makes needless. `pending` are the ids of the
        emissions in it: an acknowledgement of one of them that came meanwhile still counts."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?)", (position, state))
            noted = [row for row in connection.execute("SELECT id FROM acknowledged") if row[0] not in pending]
            connection.executemany("DELETE FROM acknowledged WHERE id = ?", noted)
            drop_before(connection, JOURNAL, position, limit=_ALL_SEGMENTS)

        await self._store.write(work)

    async def close(self) -> None:
        """Write what waits, then close."""
        await self._store.close()
