"""Record segments: many records in one blob, so that a commit costs one row whatever it holds.

Layout: one little-endian unsigned 32-bit length per record, then the records' bytes, one after another. The number of
records is kept beside the blob, in the row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from iot_core.errors import StoreError

# Far above any message (256 KiB); keeps a segment far below SQLite's limit of a value, 1 GB.
MAX_RECORD_BYTES = 16 * 2**20
# Where a commit's records of a stream are split over several segments; also what reading one record may have to load.
MAX_SEGMENT_BYTES = 8 * 2**20
_LENGTH_BYTES = 4


def encode_records(records: Sequence[bytes]) -> bytes:
    """The blob of a segment; each record at most MAX_RECORD_BYTES long."""
    return b"".join((struct.pack(f"<{len(records)}I", *map(len, records)), *records))


def split_records(records: list[bytes]) -> Iterator[list[bytes]]:
    """The records in runs of at most MAX_SEGMENT_BYTES, or of one longer record."""
    if sum(map(len, records)) <= MAX_SEGMENT_BYTES:
        yield records
        return
    run: list[bytes] = []
    size = 0
    for record in records:
        if run and size + len(record) > MAX_SEGMENT_BYTES:
            yield run
            run, size = [], 0
        run.append(record)
        size += len(record)
    yield run


def decode_records(blob: bytes, count: int, skip: int = 0) -> Iterator[bytes]:
    """The records of a blob in the order they were appended, without the first ``skip`` of them; StoreError when the
    blob does not hold ``count`` of them.
    """
    start = count * _LENGTH_BYTES
    if len(blob) < start:
        raise StoreError(f"a segment of {count} records is cut short: {len(blob)} bytes")
    lengths = struct.unpack_from(f"<{count}I", blob)
    if start + sum(lengths) != len(blob):
        raise StoreError(f"a segment of {count} records has {len(blob)} bytes, not {start + sum(lengths)}")
    start += sum(lengths[:skip])
    for length in lengths[skip:]:
        yield blob[start : start + length]
        start += length
