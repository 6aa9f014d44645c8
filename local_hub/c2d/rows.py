"""The queues of cloud-to-device messages as rows, one per device, and the feedback their ends give.

``C2dTransaction`` is one change of them, inside a ``store.write``; what runs out by the clock is put right before
anything else, so that every change sees the queues as they stand now.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator

from iot_core import limits
from iot_core.c2d import Ack, Event, State
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.message import Message
from local_hub.c2d.feedback_rows import FeedbackRows
from local_hub.c2d.messages import Delivery, FeedbackBatch, Outgoing, Sent
from local_hub.c2d.options import C2dOptions
from local_hub.json_text import dump, load
from local_hub.leases import Lease, LeasedQueue, lock_lost

__all__ = ["C2dRows", "C2dTransaction", "depths"]


class C2dRows:
    """The rules that every transaction works by."""

    def __init__(self, options: C2dOptions) -> None:
        self.queue = LeasedQueue(
            "c2d_messages", lock_s=limits.CLOUD_TO_DEVICE_LOCK_S, max_delivery_count=options.max_delivery_count
        )
        self.feedback = FeedbackRows(options.feedback)


class C2dTransaction:
    """One change of the queues.

    ``touched`` are the devices, with their generation ids, whose queues changed; ``free`` those that may have a message
    to hand out.
    """

    def __init__(self, connection: sqlite3.Connection, rows: C2dRows, now: float) -> None:
        self.touched: dict[str, str] = {}
        self.free: set[str] = set()
        self._connection = connection
        self._rows = rows
        self._now = now
        self.tidy()

    def tidy(self) -> None:
        """Free locks that ran out and end messages whose time is over."""
        for sequence in self._rows.queue.release_due(self._connection, self._now):
            self.free.add(self._head(sequence)[0])
        for lease in self._rows.queue.expired(self._connection, self._now):
            self._apply(lease, Event.EXPIRE)
        self._rows.feedback.tidy(self._connection, self._now)

    def send(self, device_id: str, outgoing: Outgoing) -> Sent:
        """Put a message at the end of the device's queue; HubError DeviceNotFound,
        DeviceMaximumQueueDepthExceeded.
        """
        generation_id = self.generation(device_id)
        if self.depth(device_id) >= limits.CLOUD_TO_DEVICE_QUEUE_DEPTH:
            text = f"Device {device_id} has {limits.CLOUD_TO_DEVICE_QUEUE_DEPTH} messages in its queue already."
            raise hub_error("DeviceMaximumQueueDepthExceeded", text)
        message = outgoing.message
        sequence = self._connection.execute(
            "INSERT INTO c2d_messages (device_id, generation_id, enqueued, expires, delivery_count, ack, properties, "
            "system, body) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                device_id,
                generation_id,
                self._now,
                outgoing.expires,
                outgoing.ack.value,
                dump(message.properties),
                dump(message.system),
                message.body,
            ),
        ).lastrowid
        self.touched[device_id] = generation_id
        self.free.add(device_id)
        return Sent(sequence=sequence or 0, enqueued=self._now)

    def receive(self, device_id: str, most: int, *, connected: bool) -> list[Delivery]:
        """Lock up to ``most`` of the oldest messages that are free, in their order."""
        rows = self._connection.execute(
            "SELECT sequence, enqueued, delivery_count, properties, system, body FROM c2d_messages "
            "WHERE device_id = ? AND lock_token IS NULL ORDER BY sequence LIMIT ?",
            (device_id, most),
        ).fetchall()
        return [self._delivery(device_id, row, connected) for row in rows]

    def settle(self, device_id: str, token: str, event: Event) -> None:
        """COMPLETE, REJECT, ABANDON or RELEASE a message of the device; HubError DeviceMessageLockLost."""
        lease = self._rows.queue.locked(self._connection, token, self._now)
        if self._head(lease.sequence)[0] != device_id:
            raise lock_lost()
        self._apply(lease, event)

    def release(self, device_id: str, tokens: Iterable[str]) -> None:
        """Put back those of the device's messages that the tokens still lock."""
        for token in tokens:
            with contextlib.suppress(HubError):
                self.settle(device_id, token, Event.RELEASE)

    def purge(self, device_id: str) -> int:
        """End every message of the device, those that are locked too; how many. HubError DeviceNotFound."""
        self.generation(device_id)
        rows = self._connection.execute(
            "SELECT sequence, delivery_count, lock_token IS NOT NULL FROM c2d_messages WHERE device_id = ? "
            "ORDER BY sequence",
            (device_id,),
        ).fetchall()
        for sequence, delivery_count, is_locked in rows:
            state = State.INVISIBLE if is_locked else State.ENQUEUED
            self._apply(Lease(sequence=sequence, delivery_count=delivery_count, state=state), Event.PURGE)
        return len(rows)

    def receive_feedback(self, *, connected: bool) -> FeedbackBatch | None:
        """Lock the oldest batch of feedback that is free."""
        return self._rows.feedback.receive(self._connection, self._now, connected=connected)

    def settle_feedback(self, token: str, event: Event) -> None:
        """COMPLETE, REJECT, ABANDON or RELEASE a batch; HubError DeviceMessageLockLost."""
        self._rows.feedback.settle(self._connection, token, event, self._now)

    def release_feedback(self, tokens: Iterable[str]) -> None:
        """Put back those of the batches that the tokens still lock."""
        for token in tokens:
            with contextlib.suppress(HubError):
                self.settle_feedback(token, Event.RELEASE)

    def generation(self, device_id: str) -> str:
        """The device's generation id; HubError DeviceNotFound."""
        row = self._connection.execute(
            "SELECT generation_id FROM identities WHERE device_id = ? AND module_id = ''", (device_id,)
        ).fetchone()
        if row is None:
            raise hub_error("DeviceNotFound", f"Device {device_id} not registered.")
        return str(row[0])

    def depth(self, device_id: str) -> int:
        """Messages of the device that have not ended."""
        count = "SELECT count(*) FROM c2d_messages WHERE device_id = ?"
        return int(self._connection.execute(count, (device_id,)).fetchone()[0])

    def finish(self) -> tuple[dict[str, int], float | None, bool]:
        """After all changes: the depth of each touched queue by its device's generation id; when something runs out
        next; whether feedback waits for a receiver.
        """
        feedback = self._rows.feedback
        feedback.tidy(self._connection, self._now)
        depths = {generation: self.depth(device) for device, generation in self.touched.items()}
        times = (self._rows.queue.next_deadline(self._connection), feedback.next_deadline(self._connection))
        deadline = min((time for time in times if time is not None), default=None)
        return depths, deadline, feedback.available(self._connection)

    def _delivery(self, device_id: str, row: tuple[int, float, int, str, str, bytes], connected: bool) -> Delivery:
        sequence, enqueued, delivery_count, properties, system, body = row
        return Delivery(
            device_id=device_id,
            lock_token=self._rows.queue.lock(self._connection, sequence, self._now, connected=connected),
            sequence=sequence,
            enqueued=enqueued,
            delivery_count=delivery_count,
            message=Message(body, load(properties), load(system)),
        )

    def _apply(self, lease: Lease, event: Event) -> None:
        """Change a message, and note its end for the sender who asked to hear of it."""
        device_id, generation_id, ack, system = self._head(lease.sequence)
        after = self._rows.queue.apply(self._connection, lease, event)
        if after.outcome is None:
            self.free.add(device_id)
            return
        self.touched[device_id] = generation_id
        if after.wants_feedback(Ack(ack)):
            self._rows.feedback.record(
                self._connection,
                device_id=device_id,
                generation_id=generation_id,
                message_id=load(system).get("messageId"),
                outcome=after.outcome,
                now=self._now,
            )

    def _head(self, sequence: int) -> tuple[str, str, str, str]:
        """Of a message: its device, the device's generation id, the ack and the system properties (JSON)."""
        query = "SELECT device_id, generation_id, ack, system FROM c2d_messages WHERE sequence = ?"
        row: tuple[str, str, str, str] = self._connection.execute(query, (sequence,)).fetchone()
        return row


def depths(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """The generation id of each device that has messages, and how many."""
    return iter(
        connection.execute("SELECT generation_id, count(*) FROM c2d_messages GROUP BY generation_id").fetchall()
    )
