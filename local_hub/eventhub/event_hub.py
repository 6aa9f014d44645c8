"""The built-in endpoint as one object: where messages are appended, and where readers find them."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field
from functools import partial

from iot_core.clock import Clock
from iot_core.errors import InputError
from iot_core.limits import PARTITIONS, PARTITIONS_DEFAULT
from local_hub.eventhub.groups import ConsumerGroups
from local_hub.eventhub.messages import HubMessage, encode_record
from local_hub.eventhub.partitions import Partition, PartitionInfo, in_milliseconds, partition_of
from local_hub.eventhub.positions import Position
from local_hub.eventhub.reader import EventReader
from local_hub.eventhub.receivers import Receivers
from local_hub.eventhub.retention import Retention, RetentionOptions
from transport.store import Appended, Store

__all__ = ["EventHub", "PartitionNotFoundError"]


class PartitionNotFoundError(InputError):
    """There is no such partition."""


class EventHub:
    """``start`` it before it is used. ``name`` is its entity path; ``created`` its unix time."""

    def __init__(
        self, store: Store, clock: Clock, name: str, options: RetentionOptions, partitions: int | None
    ) -> None:
        self.name = name
        self.created = 0.0
        self.groups = ConsumerGroups(store)
        self.receivers = Receivers()
        self._store = store
        self._clock = clock
        self._options = options
        self._asked_partitions = partitions
        self._partitions: list[_Watched] = []
        self.retention = Retention(store, clock, options)

    async def start(self) -> None:
        """Fix or read the number of partitions, and begin to drop what expires.

        InputError: the configuration asks for a number that is not allowed, or not the one the hub was made with.
        """
        wanted = self._asked_partitions or PARTITIONS_DEFAULT
        if wanted not in PARTITIONS:
            raise InputError(f"{wanted} partitions are not possible: {PARTITIONS.start} to {PARTITIONS.stop - 1} are")
        now = self._clock.now()
        count, self.created = await self._store.write(partial(_created, partitions=wanted, now=now))
        if self._asked_partitions not in (None, count):
            raise InputError(f"this hub was made with {count} partitions, which stay: {wanted} needs a new --home")
        self._partitions = [_Watched(partition=Partition(number)) for number in range(count)]
        await self.groups.load()
        self.retention.start([watched.partition.stream for watched in self._partitions])

    async def stop(self) -> None:
        """Drop nothing any more; readers wait for ever."""
        await self.retention.stop()

    @property
    def partition_ids(self) -> tuple[str, ...]:
        """ "0", "1" …"""
        return tuple(watched.partition.partition_id for watched in self._partitions)

    def time(self) -> float:
        """The time to enqueue a message with, by the hub's clock."""
        return in_milliseconds(self._clock.now())

    def stream_of(self, device_id: str) -> str:
        """The store's stream with the events of a device and its modules."""
        return self._partitions[self._number_of(device_id)].partition.stream

    def appended(self, message: HubMessage) -> Appended:
        """What to append to the store so that the message is an event; then call ``announce``."""
        stream = self.stream_of(message.identity.device_id)
        return Appended(stream=stream, records=(encode_record(message),), stamp=message.enqueued)

    def announce(self, device_id: str) -> None:
        """Wake those who wait for events of the device's partition; call it on the event loop after the commit."""
        watched = self._partitions[self._number_of(device_id)]
        for waiter in watched.waiters:
            if not waiter.done():
                waiter.set_result(None)
        watched.waiters.clear()

    def info(self, partition_id: str) -> PartitionInfo:
        """PartitionNotFoundError."""
        partition = self._watched(partition_id).partition
        return self._store.read(lambda connection: partition.info(connection, self._oldest()))

    def open(self, partition_id: str, position: Position) -> EventReader:
        """A reader from ``position`` on, as things stand now: one that opens at the latest event gets all later ones.

        Consumer groups and owners are the caller's to check (``groups``, ``receivers``). PartitionNotFoundError.
        """
        watched = self._watched(partition_id)
        partition = watched.partition
        first = self._store.read(lambda connection: partition.resolve(connection, position, self._oldest()))
        return EventReader(self._store, partition, first, watched.changed)

    def _oldest(self) -> float:
        return self._clock.now() - self._options.seconds

    def _number_of(self, device_id: str) -> int:
        return partition_of(device_id, len(self._partitions))

    def _watched(self, partition_id: str) -> _Watched:
        if partition_id not in self.partition_ids:
            raise PartitionNotFoundError(
                f"there is no partition {partition_id[:20]!r}: there are {', '.join(self.partition_ids)}"
            )
        return self._partitions[int(partition_id)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watched:
    """A partition and who waits for it."""

    partition: Partition
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    async def changed(self) -> None:
        """Return after the next announcement."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        await waiter


def _created(connection: sqlite3.Connection, partitions: int, now: float) -> tuple[int, float]:
    """Partitions and creation time of the Event Hub, which is made if it is not there."""
    connection.execute("INSERT OR IGNORE INTO event_hub (id, partitions, created) VALUES (1, ?, ?)", (partitions, now))
    row: tuple[int, float] = connection.execute("SELECT partitions, created FROM event_hub").fetchone()
    return row
