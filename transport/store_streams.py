"""Streams as rows of segments: where they begin and end, what lies at a record or a time, and dropping the oldest.

Functions on a connection, for ``Store.read`` and ``Store.write``. A stream's last segment is never dropped, because the
numbers of the records to come follow from it. Whatever a stream holds, each of these loads one segment at most.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from transport.store_segments import decode_records

__all__ = [
    "Segment",
    "drop_before",
    "end_of",
    "first_after",
    "first_beyond",
    "first_record",
    "segment_at",
    "size_of",
    "written_last",
]

_COLUMNS = "SELECT first, count, written, records FROM segments WHERE stream = ?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Records ``first`` … ``end`` - 1 of a stream, written by the time ``written`` (unix seconds)."""

    first: int
    count: int
    written: float
    blob: bytes

    @property
    def end(self) -> int:
        return self.first + self.count

    def records_from(self, number: int) -> Iterator[bytes]:
        """Its records from that number on; those before it are not decoded."""
        return decode_records(self.blob, self.count, max(number - self.first, 0))


def segment_at(connection: sqlite3.Connection, stream: str, record: int) -> Segment | None:
    """The segment that holds the record, or the first one after it."""
    holding = connection.execute(f"{_COLUMNS} AND first <= ? ORDER BY first DESC LIMIT 1", (stream, record)).fetchone()
    if holding and holding[0] + holding[1] > record:
        return _segment(holding)
    later = connection.execute(f"{_COLUMNS} AND first > ? ORDER BY first LIMIT 1", (stream, record)).fetchone()
    return _segment(later) if later else None


def written_last(connection: sqlite3.Connection, stream: str) -> float | None:
    """When the newest record was written, unix seconds; None for a stream that never had one."""
    row = connection.execute(
        "SELECT written FROM segments WHERE stream = ? ORDER BY first DESC LIMIT 1", (stream,)
    ).fetchone()
    return row[0] if row else None


def end_of(connection: sqlite3.Connection, stream: str) -> int:
    """The number of the record to come; 0 for a stream that never had one."""
    row = connection.execute(
        "SELECT first + count FROM segments WHERE stream = ? ORDER BY first DESC LIMIT 1", (stream,)
    ).fetchone()
    return int(row[0]) if row else 0


def first_record(connection: sqlite3.Connection, stream: str) -> int:
    """The number of the oldest record that is kept; 0 for a stream that never had one."""
    row = connection.execute("SELECT first FROM segments WHERE stream = ? ORDER BY first LIMIT 1", (stream,)).fetchone()
    return int(row[0]) if row else 0


def first_after(connection: sqlite3.Connection, stream: str, time: float) -> int:
    """The number of the first record of the first segment written at ``time`` or later; else that of the record to
    come. Found by halving: times never fall along a stream.
    """
    low, high = first_record(connection, stream), end_of(connection, stream)
    while low < high:
        first, end, written = _span(connection, stream, (low + high) // 2)
        low, high = (low, first) if written >= time else (end, high)
    return low


def size_of(connection: sqlite3.Connection, stream: str) -> int:
    """Bytes that the segments of a stream take."""
    row = connection.execute("SELECT SUM(LENGTH(records)) FROM segments WHERE stream = ?", (stream,)).fetchone()
    return int(row[0] or 0)


def first_beyond(connection: sqlite3.Connection, stream: str, size: int) -> int:
    """The number of the record behind the oldest segments that take ``size`` bytes or more together."""
    rows = connection.execute(
        "SELECT first + count, LENGTH(records) FROM segments WHERE stream = ? ORDER BY first", (stream,)
    )
    beyond = first_record(connection, stream)
    for end, length in rows:
        if size <= 0:
            break
        beyond, size = end, size - length
    return int(beyond)


def drop_before(connection: sqlite3.Connection, stream: str, record: int, *, limit: int) -> int:
    """Drop at most ``limit`` of the oldest segments, of those that end before the record and are not the last; how
    many were dropped.
    """
    statement = (
        "DELETE FROM segments WHERE stream = :stream AND first IN (SELECT first FROM segments WHERE stream = :stream "
        "AND first + count <= :record AND first < (SELECT MAX(first) FROM segments WHERE stream = :stream) "
        "ORDER BY first LIMIT :limit)"
    )
    return connection.execute(statement, {"stream": stream, "record": record, "limit": limit}).rowcount


def _span(connection: sqlite3.Connection, stream: str, record: int) -> tuple[int, int, float]:
    """First record, end and time of the segment that holds the record."""
    row: tuple[int, int, float] = connection.execute(
        "SELECT first, first + count, written FROM segments WHERE stream = ? AND first <= ? "
        "ORDER BY first DESC LIMIT 1",
        (stream, record),
    ).fetchone()
    return row


def _segment(row: tuple[int, int, float, bytes]) -> Segment:
    return Segment(first=row[0], count=row[1], written=row[2], blob=row[3])
