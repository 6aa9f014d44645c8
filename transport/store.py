"""The durable store of the local hub and the local edge: one SQLite file, one writer, group commit.

Guarantees (durability "full"): ``write`` and ``append`` return only after the commit that holds their effect has been
synced to disk, so what was acknowledged survives a power cut; a write is kept whole or not at all; writes take effect
in the order of the calls; a read that starts after a write returned sees it. "normal" leaves the sync out of commits:
a killed process loses nothing, a power cut may lose the last commits, never the file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from iot_core.errors import StoreError
from transport.store_handover import Handover
from transport.store_schema import prepare
from transport.store_segments import MAX_RECORD_BYTES
from transport.store_streams import segment_at
from transport.store_writer import Append, AppendAll, Appended, Write, Writer

__all__ = ["Appended", "Durability", "Store"]

Durability = Literal["full", "normal"]
T = TypeVar("T")

_SYNCHRONOUS = {"full": "FULL", "normal": "NORMAL"}
# Pages of 4 KiB in the log before a commit also copies it into the database file: 16 MiB, so that a steady stream of
# segments pays for that copy and its two syncs a few times a second at most.
_CHECKPOINT_PAGES = 4096
_READER_THREADS = 2


class Store:
    """See the module; made by ``Store.open``."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._handover = Handover(writer)
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix=f"store {path.name} reader")
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, schema: Sequence[Path], durability: Durability = "full", writer: type[Writer] = Writer
    ) -> Store:
        """Open or create the file (mode 0600) with the SQL files of ``schema``, one per version, in order.

        StoreError: the file is not a store, newer than the program, or cannot be opened.
        """
        try:
            path.touch(mode=0o600)
            connection = _connect(
                path, f"synchronous = {_SYNCHRONOUS[durability]}", f"wal_autocheckpoint = {_CHECKPOINT_PAGES}"
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path} cannot be opened: {error}") from error
        try:
            prepare(connection, path, schema)
        except (sqlite3.Error, StoreError) as error:
            connection.close()
            raise error if isinstance(error, StoreError) else StoreError(f"{path}: {error}") from error
        return cls(path, writer(connection, path))

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        after: Callable[[T], None] | None = None,
        appends: Callable[[sqlite3.Connection, T], Iterable[Appended]] | None = None,
    ) -> T:
        """Run ``work`` on the writer thread and return its result once it is on disk.

        What it raises undoes its own changes alone and is raised here; sqlite3 errors, and the failure of the commit,
        become StoreError. A caller that is cancelled while it waits does not undo the write. ``work`` must not commit.
        ``after`` is called with the result on the event loop once it is on disk, before the caller goes on and even
        when the caller was cancelled; the calls come in the order of the writes.
        ``appends`` is called with the result on the writer thread, right after ``work`` and as a part of it: the
        records it gives are appended in the same transaction.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(Write(work, future, loop, after, appends))
        self._handover.watch(loop)
        return await future

    async def append(
        self,
        stream: str,
        records: Sequence[bytes],
        *,
        after: Callable[[int], None] | None = None,
        stamp: float | None = None,
    ) -> int:
        """Add records to the end of a stream; returns the number of the first (counted from 0) once they are on disk.

        ``after`` as in ``write``. ``stamp`` is the time of the last record, unix seconds, by the machine's clock when
        left out; what lies before a time is found by it (``transport.store_streams``).
        StoreError: a record is longer than MAX_RECORD_BYTES (nothing is added), or as in ``write``.
        """
        if max(map(len, records), default=0) > MAX_RECORD_BYTES:
            raise StoreError(f"a record for {stream} is longer than {MAX_RECORD_BYTES} bytes")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._writer.submit(Append(stream, records, future, loop, after, stamp))
        self._handover.watch(loop)
        return await future

    def append_all(self, appends: Sequence[Appended], done: Callable[[BaseException | None], None]) -> None:
        """Append to several streams in one transaction, without waiting: ``append`` for many callers at once.

        ``done`` is called on the event loop, with None once all is on disk or with the StoreError; the calls come in
        the order of the writes. StoreError at once: the store is closed, or a record is longer than MAX_RECORD_BYTES.
        """
        if any(max(map(len, each.records), default=0) > MAX_RECORD_BYTES for each in appends):
            raise StoreError(f"a record is longer than {MAX_RECORD_BYTES} bytes")
        loop = asyncio.get_running_loop()
        self._writer.submit(AppendAll(appends, done, loop))
        self._handover.watch(loop)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on this thread's read connection, on one snapshot of what is committed; StoreError."""
        connection = self._reader()
        try:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    async def aread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``read`` in a reader thread, for work that takes long."""
        if self._closed:
            raise StoreError(f"{self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read, work)

    async def backup(self, path: Path) -> None:
        """Write all that is committed now to a new database file (mode 0600), synced; StoreError.

        Writes go on meanwhile and are not in it.
        """
        await self.aread(lambda connection: _back_up(connection, path))

    def records(self, stream: str, first: int = 0) -> Iterator[bytes]:
        """The records of a stream from number ``first`` on, segment by segment; sees later commits as it goes."""
        while (segment := self.read(partial(segment_at, stream=stream, record=first))) is not None:
            yield from segment.records_from(first)
            first = segment.end

    async def close(self) -> None:
        """Write what waits, then close; calls after this raise StoreError."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._pool, self._writer.finish)
        self._pool.shutdown()
        for connection in self._readers:
            connection.close()

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{self._path} is closed")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._path, "query_only = ON")
            self._readers.append(connection)
        return connection


_PRAGMAS = (
    "journal_mode = WAL",
    "foreign_keys = ON",
    # Without these a sync on macOS only reaches the drive's cache.
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
)


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    path.touch(mode=0o600)
    # One step, so that it is of one moment: steps in between which somebody writes begin again.
    with closing(sqlite3.connect(path)) as target:
        connection.backup(target, pages=-1)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path, *pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in (*_PRAGMAS, *pragmas):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
