"""The one queue of file upload notifications, shared by all services.

Source: IoT Hub developer guide, "Upload files with IoT Hub", file upload notifications. Every call returns once its
effect is on disk. Delivery is at least once: what a receiver did not settle comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from iot_core.c2d import Event
from iot_core.clock import Clock
from iot_core.errors import EdgeyardError, HubError
from local_hub.alarm import Alarm
from local_hub.files.options import NotificationOptions
from local_hub.leases import LeasedQueue
from local_hub.pump import Pump, Receiver
from transport.store import Store

__all__ = ["CONTENT_TYPE", "FileNotification", "FileNotifications"]

CONTENT_TYPE = "application/vnd.microsoft.iothub.filenotification.json"

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileNotification:
    """A notification under a lock; ``enqueued`` in unix seconds, ``delivery_count`` abandons so far, ``body`` a JSON
    object of deviceId, blobUri, blobName, lastUpdatedTime, blobSizeInBytes and enqueuedTimeUtc.
    """

    lock_token: str
    sequence: int
    enqueued: float
    delivery_count: int
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done(Generic[T]):
    """A committed transaction: its result, and what follows from it."""

    result: T
    deadline: float | None
    waits: bool


class FileNotifications:
    """``start`` before anything else."""

    def __init__(self, store: Store, clock: Clock, options: NotificationOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._queue = LeasedQueue(
            "file_notifications", lock_s=options.lock_s, max_delivery_count=options.max_delivery_count
        )
        self._alarm = Alarm(clock, self._clock_ran)
        self._pump: Pump[FileNotification] = Pump(self._fetch, self._give_back)
        self._background: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Free what connections of an earlier run had locked, and drop what ran out meanwhile."""
        await self._store.write(self._queue.release_connected)
        self._alarm.start()
        await self._commit(lambda _connection, _now: None)

    async def stop(self) -> None:
        """Finish what has begun; receivers must be gone by now."""
        await self._alarm.stop()
        await self._pump.settled()
        await asyncio.gather(*self._background)

    async def add(
        self, body: Callable[[float], bytes], device_id: str, *, also: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Put a notification at the end of the queue, unless they are off; ``body`` gets the time of that.

        ``also`` is done in the same transaction, in either case.
        """

        def work(connection: sqlite3.Connection, now: float) -> None:
            also(connection)
            if self._options.enabled:
                connection.execute(
                    "INSERT INTO file_notifications (device_id, enqueued, expires, delivery_count, body) "
                    "VALUES (?, ?, ?, 0, ?)",
                    (device_id, now, now + self._options.ttl_s, body(now).decode()),
                )

        await self._commit(work)

    async def receive(self) -> FileNotification | None:
        """Lock the oldest free notification for the lock duration of the options; None when there is none.

        This lock outlives a restart of the hub.
        """
        found = await self._commit(lambda connection, now: self._lock(connection, now, 1, connected=False))
        return found[0] if found else None

    async def complete(self, lock_token: str) -> None:
        """The service has it; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.COMPLETE)

    async def reject(self, lock_token: str) -> None:
        """Drop it; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.REJECT)

    async def abandon(self, lock_token: str) -> None:
        """Put it back, which counts; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.ABANDON)

    def attach(self, receiver: Receiver[FileNotification]) -> None:
        """Bring notifications to ``receiver`` as they come, those that wait first, as far as its credit goes.

        Their locks last no longer than this run of the hub; ``release`` frees them before.
        """
        self._pump.attach(receiver)

    def detach(self, receiver: Receiver[FileNotification]) -> None:
        """Bring it no more; nothing happens when it is not attached."""
        self._pump.detach(receiver)

    def wake(self) -> None:
        """A receiver has more credit."""
        self._pump.wake()

    def release(self, lock_tokens: Sequence[str]) -> None:
        """Put notifications back that a connection held when it went, which does not count; never waits."""
        if lock_tokens:
            self._spawn(self._release(tuple(lock_tokens)))

    async def waiting(self, most: int) -> list[FileNotification]:
        """The oldest notifications, locked or not, without touching them; the lock token of a free one is empty."""
        await self._commit(lambda _connection, _now: None)

        def read(connection: sqlite3.Connection) -> list[FileNotification]:
            query = (
                "SELECT coalesce(lock_token, ''), sequence, enqueued, delivery_count, body FROM file_notifications "
                "ORDER BY sequence LIMIT ?"
            )
            return [_notification(*row) for row in connection.execute(query, (most,))]

        return self._store.read(read)

    async def settled(self) -> None:
        """Wait for the work that goes on."""
        await self._pump.settled()
        await asyncio.gather(*self._background)

    def _lock(
        self, connection: sqlite3.Connection, now: float, most: int, *, connected: bool
    ) -> list[FileNotification]:
        rows = connection.execute(
            "SELECT sequence, enqueued, delivery_count, body FROM file_notifications WHERE lock_token IS NULL "
            "ORDER BY sequence LIMIT ?",
            (most,),
        ).fetchall()
        return [_notification(self._queue.lock(connection, row[0], now, connected=connected), *row) for row in rows]

    async def _settle(self, lock_token: str, event: Event) -> None:
        await self._commit(lambda connection, now: self._apply(connection, now, lock_token, event))

    def _apply(self, connection: sqlite3.Connection, now: float, lock_token: str, event: Event) -> None:
        self._queue.apply(connection, self._queue.locked(connection, lock_token, now), event)

    async def _release(self, lock_tokens: tuple[str, ...]) -> None:
        def work(connection: sqlite3.Connection, now: float) -> None:
            for token in lock_tokens:
                with contextlib.suppress(HubError):
                    self._apply(connection, now, token, Event.RELEASE)

        try:
            await self._commit(work)
        except EdgeyardError:
            _log.exception("file notifications stay locked until their locks run out")

    async def _clock_ran(self) -> None:
        try:
            await self._commit(lambda _connection, _now: None)
        except EdgeyardError:
            _log.exception("file notifications that ran out were not put right")

    async def _fetch(self, most: int) -> Sequence[FileNotification]:
        return await self._commit(lambda connection, now: self._lock(connection, now, most, connected=True))

    def _give_back(self, items: Sequence[FileNotification]) -> None:
        self.release([item.lock_token for item in items])

    async def _commit(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        """Put right what ran out, then run ``work``; once it is on disk, tell who waits."""

        def in_store(connection: sqlite3.Connection) -> _Done[T]:
            now = self._clock.now()
            self._tidy(connection, now)
            result = work(connection, now)
            free = connection.execute("SELECT 1 FROM file_notifications WHERE lock_token IS NULL").fetchone()
            return _Done(result=result, deadline=self._queue.next_deadline(connection), waits=free is not None)

        return (await self._store.write(in_store, after=self._announce)).result

    def _tidy(self, connection: sqlite3.Connection, now: float) -> None:
        self._queue.release_due(connection, now)
        for lease in self._queue.expired(connection, now):
            self._queue.apply(connection, lease, Event.EXPIRE)

    def _announce(self, done: _Done[Any]) -> None:
        self._alarm.set(done.deadline)
        if done.waits:
            self._pump.wake()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _notification(lock_token: str, sequence: int, enqueued: float, delivery_count: int, body: str) -> FileNotification:
    return FileNotification(
        lock_token=lock_token,
        sequence=sequence,
        enqueued=enqueued,
        delivery_count=delivery_count,
        body=body.encode(),
    )
