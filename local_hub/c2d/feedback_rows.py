"""Feedback on cloud-to-device messages, as rows: records gathered into batches, batches received under a lock.

A batch is made of 64 records, or of fewer once 15 seconds have passed since the batch before it (IoT Hub developer
guide, "Send cloud-to-device messages", message feedback). Every call runs inside a ``store.write``.
"""

from __future__ import annotations

import sqlite3

from iot_core import limits
from iot_core.c2d import Event, Outcome
from iot_core.clock import iso
from local_hub.c2d.messages import FeedbackBatch
from local_hub.c2d.options import FeedbackOptions
from local_hub.json_text import dump
from local_hub.leases import LeasedQueue

__all__ = ["FeedbackRows"]

_FLUSHED = "c2d feedback flushed"
"""The setting that keeps when the last batch was made."""


class FeedbackRows:
    """The records that wait, and the queue of batches."""

    def __init__(self, options: FeedbackOptions) -> None:
        self._ttl_s = options.ttl_s
        self._queue = LeasedQueue("c2d_feedback", lock_s=options.lock_s, max_delivery_count=options.max_delivery_count)

    def record(
        self,
        connection: sqlite3.Connection,
        *,
        device_id: str,
        generation_id: str,
        message_id: str | None,
        outcome: Outcome,
        now: float,
    ) -> None:
        """Note how a message ended, for the next batch."""
        record = {
            "originalMessageId": message_id,
            "enqueuedTimeUtc": iso(now),
            "statusCode": outcome.value,
            "description": outcome.value,
            "deviceId": device_id,
            "deviceGenerationId": generation_id,
        }
        connection.execute(
            "INSERT INTO c2d_feedback_records (device_id, record) VALUES (?, ?)", (device_id, dump(record))
        )

    def tidy(self, connection: sqlite3.Connection, now: float) -> None:
        """Free locks that ran out, drop batches whose time is over, make those that are due."""
        self._queue.release_due(connection, now)
        for lease in self._queue.expired(connection, now):
            self._queue.apply(connection, lease, Event.EXPIRE)
        while (waiting := _waiting(connection)) and (
            waiting >= limits.FEEDBACK_BATCH_RECORDS or now >= _flush_due(connection)
        ):
            self._make_batch(connection, now)

    def next_deadline(self, connection: sqlite3.Connection) -> float | None:
        """When ``tidy`` has something to do next; None: not by itself."""
        times = [self._queue.next_deadline(connection), _flush_due(connection) if _waiting(connection) else None]
        return min((time for time in times if time is not None), default=None)

    def receive(self, connection: sqlite3.Connection, now: float, *, connected: bool) -> FeedbackBatch | None:
        """Lock the oldest batch that is free."""
        row = connection.execute(
            "SELECT sequence, enqueued, delivery_count FROM c2d_feedback WHERE lock_token IS NULL ORDER BY sequence"
        ).fetchone()
        if row is None:
            return None
        sequence, enqueued, delivery_count = row
        records = connection.execute(
            "SELECT record FROM c2d_feedback_records WHERE batch = ? ORDER BY number", (sequence,)
        )
        return FeedbackBatch(
            lock_token=self._queue.lock(connection, sequence, now, connected=connected),
            sequence=sequence,
            enqueued=enqueued,
            delivery_count=delivery_count,
            body=f"[{','.join(record for (record,) in records)}]".encode(),
        )

    def settle(self, connection: sqlite3.Connection, token: str, event: Event, now: float) -> None:
        """COMPLETE, REJECT, ABANDON or RELEASE; HubError DeviceMessageLockLost."""
        self._queue.apply(connection, self._queue.locked(connection, token, now), event)

    def release_connected(self, connection: sqlite3.Connection) -> None:
        """Free what connections of an earlier run of the hub had locked."""
        self._queue.release_connected(connection)

    def available(self, connection: sqlite3.Connection) -> bool:
        """Whether a batch is free."""
        return connection.execute("SELECT 1 FROM c2d_feedback WHERE lock_token IS NULL").fetchone() is not None

    def _make_batch(self, connection: sqlite3.Connection, now: float) -> None:
        batch = connection.execute(
            "INSERT INTO c2d_feedback (enqueued, expires, delivery_count) VALUES (?, ?, 0)", (now, now + self._ttl_s)
        ).lastrowid
        connection.execute(
            "UPDATE c2d_feedback_records SET batch = ? WHERE number IN "
            "(SELECT number FROM c2d_feedback_records WHERE batch IS NULL ORDER BY number LIMIT ?)",
            (batch, limits.FEEDBACK_BATCH_RECORDS),
        )
        connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_FLUSHED, dump(now)))


def _waiting(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM c2d_feedback_records WHERE batch IS NULL").fetchone()[0]
    return count


def _flush_due(connection: sqlite3.Connection) -> float:
    """When records that wait become a batch, however few they are."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (_FLUSHED,)).fetchone()
    return float(row[0]) + limits.FEEDBACK_BATCH_S if row else 0.0
