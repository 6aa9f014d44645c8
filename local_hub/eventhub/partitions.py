"""A partition: one stream of the store, whose record numbers are the sequence numbers of its events.

Nothing about it is kept in memory, so nothing can disagree with the disk; every question costs some index look-ups and
at most one segment.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from local_hub.eventhub.messages import HubMessage, decode_record
from local_hub.eventhub.positions import AfterOffset, AfterSequence, AfterTime, Position
from transport import store_streams

__all__ = ["EventData", "Partition", "PartitionInfo", "in_milliseconds", "partition_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventData:
    """An event and its place in a partition."""

    sequence_number: int
    message: HubMessage

    @property
    def offset(self) -> str:
        return str(self.sequence_number)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionInfo:
    """What Event Hubs tells of a partition.

    ``last_sequence_number`` is -1, ``last_offset`` "-1" and ``last_enqueued`` (unix seconds) None before the first
    event. A partition all of whose events have expired is empty and keeps them.
    """

    partition_id: str
    beginning_sequence_number: int
    last_sequence_number: int
    last_offset: str
    last_enqueued: float | None
    is_empty: bool


def partition_of(device_id: str, count: int) -> int:
    """The partition of a device's messages and those of its modules: the same for ever."""
    return crc32(device_id.encode()) % count


def in_milliseconds(time: float) -> float:
    """Unix seconds cut to whole milliseconds, the finest time that Event Hubs clients can ask for."""
    return math.floor(time * 1000) / 1000


class Partition:
    """Questions about one partition, on a connection of the store; ``oldest`` is the time before which all has
    expired.
    """

    def __init__(self, number: int) -> None:
        self.partition_id = str(number)
        self.stream = f"events/{number}"

    def info(self, connection: sqlite3.Connection, oldest: float) -> PartitionInfo:
        beginning, end = self.beginning(connection, oldest), store_streams.end_of(connection, self.stream)
        return PartitionInfo(
            partition_id=self.partition_id,
            beginning_sequence_number=beginning,
            last_sequence_number=end - 1,
            last_offset=str(end - 1),
            last_enqueued=store_streams.written_last(connection, self.stream),
            is_empty=beginning == end,
        )

    def beginning(self, connection: sqlite3.Connection, oldest: float) -> int:
        """The first sequence number that has not expired; that of the event to come when all have."""
        return store_streams.first_after(connection, self.stream, oldest)

    def resolve(self, connection: sqlite3.Connection, position: Position, oldest: float) -> int:
        """The sequence number at which a reader that was told to begin at ``position`` begins."""
        beginning = self.beginning(connection, oldest)
        match position:
            case AfterTime():
                return max(self._at_time(connection, position), beginning)
            case AfterSequence():
                return max(position.first, beginning)
            case AfterOffset():
                sequence = position.sequence
                if sequence is None:
                    return store_streams.end_of(connection, self.stream)
                return max(sequence.first, beginning)

    def events(self, connection: sqlite3.Connection, first: int) -> tuple[int, Iterator[EventData]] | None:
        """The events from ``first`` on, or the first one behind it, as far as one segment goes, and the sequence number
        behind them; None when there is none. They are decoded as they are asked for.
        """
        segment = store_streams.segment_at(connection, self.stream, first)
        if segment is None:
            return None
        start = max(first, segment.first)
        return segment.end, (
            EventData(sequence_number=number, message=decode_record(record))
            for number, record in enumerate(segment.records_from(start), start)
        )

    def _at_time(self, connection: sqlite3.Connection, position: AfterTime) -> int:
        number = store_streams.first_after(connection, self.stream, position.time)
        while (found := self.events(connection, number)) is not None:
            number, events = found
            for event in events:
                enqueued = event.message.enqueued
                if enqueued > position.time or (position.inclusive and enqueued == position.time):
                    return event.sequence_number
        return number
