"""The messages that wait for their endpoints, on disk.

Guarantees: `add` returns after the synced commit; a message is handed out for an endpoint until it is removed for that
endpoint (at least once); per endpoint the most urgent priority comes first, within one priority the order of arrival.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from iot_core.message import Message
from transport.store import Store

__all__ = ["Delivery", "MessageStore", "QueuedMessage"]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where a message shall go, how urgently (smaller first), and for how many seconds it is worth keeping."""

    endpoint: str
    priority: int
    ttl_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class QueuedMessage:
    """A stored message of module `sender`."""

    id: int
    sender: str
    message: Message


class MessageStore:
    """See the module. StoreError when the disk refuses."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, sender: str, message: Message, deliveries: Sequence[Delivery], now: float) -> None:
        """Keep `message` once, for all `deliveries`."""
        row = (sender, json.dumps(message.properties), json.dumps(message.system), message.body)
        due = [(d.endpoint, d.priority, None if d.ttl_s is None else now + d.ttl_s) for d in deliveries]

        def work(connection: sqlite3.Connection) -> None:
            cursor = connection.execute(
                "INSERT INTO message (sender, properties, system, body) VALUES (?, ?, ?, ?)", row
            )
            connection.executemany(
                "INSERT INTO delivery (endpoint, priority, message, expires) VALUES (?, ?, ?, ?)",
                [(endpoint, priority, cursor.lastrowid, expires) for endpoint, priority, expires in due],
            )

        await self._store.write(work)

    def next_batch(self, endpoint: str, now: float, limit: int) -> list[QueuedMessage]:
        """Up to `limit` unexpired messages of the most urgent priority that has any."""
        rows = self._store.read(
            lambda connection: connection.execute(_NEXT, _next_values(endpoint, now, limit)).fetchall()
        )
        return [_queued(*row) for row in rows]

    async def remove(self, endpoint: str, ids: Sequence[int]) -> None:
        """The endpoint has these messages now."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM delivery WHERE endpoint = ? AND message = ?", [(endpoint, i) for i in ids]
            )
            connection.executemany(_FORGET_ONE, [(i, i) for i in ids])

        await self._store.write(work)

    async def remove_endpoint(self, endpoint: str) -> int:
        """Drop what waits for an endpoint that no route knows any more; how many that were."""
        return await self._delete("DELETE FROM delivery WHERE endpoint = ?", (endpoint,))

    async def remove_expired(self, now: float) -> int:
        """Drop what is past its time to live; how many that were."""
        return await self._delete("DELETE FROM delivery WHERE expires <= ?", (now,))

    def endpoints(self) -> list[str]:
        """The endpoints for which something waits."""
        return [row[0] for row in self._read("SELECT DISTINCT endpoint FROM delivery ORDER BY endpoint")]

    def count(self, endpoint: str) -> int:
        """How many messages wait for `endpoint`."""
        rows = self._store.read(
            lambda connection: connection.execute(
                "SELECT count(*) FROM delivery WHERE endpoint = ?", (endpoint,)
            ).fetchone()
        )
        return int(rows[0])

    def _read(self, sql: str) -> list[tuple[str]]:
        return self._store.read(lambda connection: connection.execute(sql).fetchall())

    async def _delete(self, sql: str, values: tuple[object, ...]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            gone = connection.execute(sql, values).rowcount
            if gone:
                connection.execute(_FORGET_ALL)
            return gone

        return await self._store.write(work)


_NEXT = """
SELECT m.id, m.sender, m.properties, m.system, m.body
FROM delivery AS d JOIN message AS m ON m.id = d.message
WHERE d.endpoint = :endpoint AND (d.expires IS NULL OR d.expires > :now) AND d.priority = (
    SELECT priority FROM delivery
    WHERE endpoint = :endpoint AND (expires IS NULL OR expires > :now)
    ORDER BY priority LIMIT 1)
ORDER BY d.message LIMIT :limit
"""
_FORGET_ONE = "DELETE FROM message WHERE id = ? AND NOT EXISTS (SELECT 1 FROM delivery WHERE message = ?)"
_FORGET_ALL = "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE message = message.id)"


def _next_values(endpoint: str, now: float, limit: int) -> dict[str, object]:
    return {"endpoint": endpoint, "now": now, "limit": limit}


def _queued(identifier: int, sender: str, properties: str, system: str, body: bytes) -> QueuedMessage:
    message = Message(body, json.loads(properties), json.loads(system))
    return QueuedMessage(id=identifier, sender=sender, message=message)
