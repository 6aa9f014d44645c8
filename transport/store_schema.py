"""The database file's format: the store's own tables, and its owner's schema as one SQL file per version.

``PRAGMA application_id`` tells the store's format, ``PRAGMA user_version`` the owner's schema version: version N is
what the first N schema files give, one after another. What is newer than the program is refused, never guessed at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from iot_core.errors import StoreError

# "EYS" and a format number: 1 is the segments table below.
_APPLICATION = 0x455953
FORMAT_VERSION = 1

_SEGMENTS = """
CREATE TABLE segments (
    stream TEXT NOT NULL,
    first INTEGER NOT NULL,   -- the number of the segment's first record in its stream, from 0
    count INTEGER NOT NULL,   -- records in the segment
    written REAL NOT NULL,    -- the time of the segment's last record, unix seconds; never less than in the one before
    records BLOB NOT NULL,    -- laid out by transport.store_segments
    PRIMARY KEY (stream, first)
);
"""


def prepare(connection: sqlite3.Connection, path: Path, schema: Sequence[Path]) -> None:
    """Create or migrate the file behind ``connection``; StoreError when it is foreign or newer than this program."""
    _prepare_format(connection, path)
    have = _pragma(connection, "user_version")
    if have > len(schema):
        raise StoreError(
            f"{path}: its schema version {have} is newer than this program's {len(schema)}; use a newer edgeyard"
        )
    for version in range(have + 1, len(schema) + 1):
        _run_script(connection, f"{schema[version - 1].read_text()}\nPRAGMA user_version = {version};")


def _prepare_format(connection: sqlite3.Connection, path: Path) -> None:
    have = _pragma(connection, "application_id")
    if have == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        _run_script(connection, f"{_SEGMENTS}\nPRAGMA application_id = {_APPLICATION << 8 | FORMAT_VERSION};")
        return
    if have >> 8 != _APPLICATION:
        raise StoreError(f"{path} is not a store of this program; move it away")
    if have & 0xFF > FORMAT_VERSION:
        raise StoreError(
            f"{path}: its format {have & 0xFF} is newer than this program's {FORMAT_VERSION}; use a newer edgeyard"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """All of a script or nothing of it."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
