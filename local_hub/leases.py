"""A table of messages that receivers take under a lock and then settle, by the rules of ``iot_core.c2d``.

The table has the columns sequence (its primary key, which is also the order), enqueued, expires, delivery_count,
lock_token, locked_until and connected; indexes on expires (not locked), locked_until and lock_token (locked). Times are
unix seconds. Every call runs inside a ``store.write``.
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass

from iot_core.c2d import Event, State, Step, step
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error

__all__ = ["Lease", "LeasedQueue"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """One message of the queue as it stands."""

    sequence: int
    delivery_count: int
    state: State


class LeasedQueue:
    """``lock_s`` is how long a lock lasts; ``max_delivery_count`` abandons end a message."""

    def __init__(self, table: str, *, lock_s: float, max_delivery_count: int) -> None:
        self._table = table
        self._lock_s = lock_s
        self._max_delivery_count = max_delivery_count
        self._unlock = f"UPDATE {table} SET lock_token = NULL, locked_until = NULL, connected = NULL"

    def next_deadline(self, connection: sqlite3.Connection) -> float | None:
        """When the next lock or message runs out; None when nothing does."""
        waiting = f"SELECT expires FROM {self._table} WHERE lock_token IS NULL ORDER BY expires LIMIT 1"
        locked = f"SELECT locked_until FROM {self._table} WHERE lock_token IS NOT NULL ORDER BY locked_until LIMIT 1"
        found = [row[0] for query in (waiting, locked) if (row := connection.execute(query).fetchone())]
        return min(found, default=None)

    def release_due(self, connection: sqlite3.Connection, now: float) -> list[int]:
        """Put back the messages whose locks have run out; their sequence numbers."""
        due = f"{self._unlock} WHERE lock_token IS NOT NULL AND locked_until <= ? RETURNING sequence"
        return [sequence for (sequence,) in connection.execute(due, (now,)).fetchall()]

    def release_connected(self, connection: sqlite3.Connection) -> None:
        """Put back the messages whose locks belong to connections, none of which stands any more."""
        connection.execute(f"{self._unlock} WHERE lock_token IS NOT NULL AND connected = 1")

    def expired(self, connection: sqlite3.Connection, now: float) -> list[Lease]:
        """The messages whose time to live is over; one that is locked lives until its lock ends."""
        # "+" keeps SQLite from reading the whole table in the order of its key instead of the few rows that are due.
        due = (
            f"SELECT sequence, delivery_count FROM {self._table} "
            "WHERE lock_token IS NULL AND expires <= ? ORDER BY +sequence"
        )
        rows = connection.execute(due, (now,)).fetchall()
        return [Lease(sequence=row[0], delivery_count=row[1], state=State.ENQUEUED) for row in rows]

    def lock(self, connection: sqlite3.Connection, sequence: int, now: float, *, connected: bool) -> str:
        """Lock an enqueued message and return the token to settle it with, a UUID."""
        token = str(uuid.uuid4())
        connection.execute(
            f"UPDATE {self._table} SET lock_token = ?, locked_until = ?, connected = ? WHERE sequence = ?",
            (token, now + self._lock_s, int(connected), sequence),
        )
        return token

    def locked(self, connection: sqlite3.Connection, token: str, now: float) -> Lease:
        """The message that ``token`` locks; HubError DeviceMessageLockLost when it locks none (any more)."""
        row = connection.execute(
            f"SELECT sequence, delivery_count FROM {self._table} WHERE lock_token = ? AND locked_until > ?",
            (token, now),
        ).fetchone()
        if row is None:
            raise lock_lost()
        return Lease(sequence=row[0], delivery_count=row[1], state=State.INVISIBLE)

    def apply(self, connection: sqlite3.Connection, lease: Lease, event: Event) -> Step:
        """Change a message as ``event`` (any but RECEIVE) asks: it goes back into the queue, or ends and is removed."""
        after = step(
            lease.state, event, delivery_count=lease.delivery_count, max_delivery_count=self._max_delivery_count
        )
        if after.outcome is None:
            returned = f"{self._unlock}, delivery_count = ? WHERE sequence = ?"
            connection.execute(returned, (after.delivery_count, lease.sequence))
        else:
            connection.execute(f"DELETE FROM {self._table} WHERE sequence = ?", (lease.sequence,))
        return after


def lock_lost() -> HubError:
    """412: the token settles nothing."""
    text = "The lock supplied is invalid: the message was settled before, or its lock has expired."
    return hub_error("DeviceMessageLockLost", text)
