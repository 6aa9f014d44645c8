"""Texts on disk between the edge hub and the container.

`put` returns when the texts are synced to disk, so a message may be acknowledged then: neither a kill nor a power cut
loses it. Texts leave by `remove`, after their answer is acknowledged by the edge hub; a crash in between repeats them.
The size is bounded by the caller, who asks `has_room`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from iot_core.message import Message
from transport.store import Store

__all__ = ["WaitingText", "WaitingTexts"]

FILE_NAME = "texts.db"
SCHEMA = (Path(__file__).with_name("schema_v1.sql"),)
OVERHEAD = 64
"""Bytes that a row takes beside its content, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingText:
    """One record of a message, with what the message said beside it; a lower `number` is older."""

    number: int
    message: Message
    size: int


class WaitingTexts:
    """Made by `open`; one user at a time. `count` and `size` (bytes) are of everything that waits, what was taken
    included."""

    def __init__(self, store: Store, count: int, size: int) -> None:
        self._store = store
        self.count = count
        self.size = size
        self._taken = 0
        self._cursor = 0
        self._changed = asyncio.Condition()

    @property
    def available(self) -> int:
        """Texts that nobody has taken."""
        return self.count - self._taken

    @classmethod
    def open(cls, folder: Path) -> WaitingTexts:
        """Open or create the file in `folder` (both for their owner only); StoreError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = Store.open(folder / FILE_NAME, schema=SCHEMA)
        count, size = store.read(lambda c: c.execute("SELECT count(*), total(size) FROM waiting").fetchone())
        return cls(store, int(count), int(size))

    async def put(self, messages: Sequence[Message]) -> None:
        """Add texts, all or none, and return when they are on disk; StoreError."""
        rows = [_row(message) for message in messages]
        await self._store.write(lambda connection: _insert(connection, rows))
        await self._count(len(rows), sum(row[3] for row in rows))

    async def take(self, limit: int, size: int) -> list[WaitingText]:
        """The oldest texts that nobody has taken: up to `limit`, and at least one up to `size` bytes. `remove` must
        follow."""
        taken = await self._store.aread(lambda connection: _select(connection, self._cursor, limit, size))
        if taken:
            self._cursor = taken[-1].number
            self._taken += len(taken)
        return taken

    async def remove(self, texts: Sequence[WaitingText]) -> None:
        """Forget texts that were taken; StoreError."""
        numbers = [(text.number,) for text in texts]
        await self._store.write(lambda connection: _delete(connection, numbers))
        self._taken -= len(texts)
        await self._count(-len(texts), -sum(text.size for text in texts))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds; looked at after everything that comes and goes."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def has_room(self, count: int, size: int) -> bool:
        """True while less than this waits: a message may come in then, whatever its own size."""
        return self.count < count and self.size < size

    async def close(self) -> None:
        """What waits is there at the next `open`."""
        await self._store.close()

    async def _count(self, count: int, size: int) -> None:
        async with self._changed:
            self.count += count
            self.size += size
            self._changed.notify_all()


Row = tuple[bytes, str, str, int]


def _row(message: Message) -> Row:
    properties, system = orjson.dumps(message.properties).decode(), orjson.dumps(message.system).decode()
    return message.body, properties, system, len(message.body) + len(properties) + len(system) + OVERHEAD


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.executemany("INSERT INTO waiting (record, properties, system, size) VALUES (?, ?, ?, ?)", rows)


def _delete(connection: sqlite3.Connection, numbers: Sequence[tuple[int]]) -> None:
    # No cursor may leave the writer's thread: freeing it elsewhere resets a statement that is in use.
    connection.executemany("DELETE FROM waiting WHERE number = ?", numbers)


def _select(connection: sqlite3.Connection, number: int, limit: int, size: int) -> list[WaitingText]:
    query = "SELECT number, record, properties, system, size FROM waiting WHERE number > ? ORDER BY number LIMIT ?"
    found: list[WaitingText] = []
    for row_number, record, own, system, row_size in connection.execute(query, (number, limit)):
        size -= row_size
        if found and size < 0:
            break
        message = Message(record, orjson.loads(own), orjson.loads(system))
        found.append(WaitingText(number=row_number, message=message, size=row_size))
    return found
