"""The one writer of a store: a thread that puts all that waits into one transaction, syncs it, then acknowledges.

A group lives so: taken from the queue → each write runs inside its own SAVEPOINT → the appended records of each stream
become one segment row → COMMIT (which syncs) → every future of the group is told, one wake-up per event loop. Whatever
happens before COMMIT has returned, no future is told of success.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from iot_core.errors import StoreError
from transport.store_segments import encode_records, split_records

# Errors after which the file cannot be trusted to hold what was synced earlier (a failed sync may have dropped pages):
# the writer stops for good, and only opening the store again, which replays the log, goes on.
_FATAL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# Errors that undo the whole transaction, not just the statement.
_GROUP = _FATAL | {sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """Records for the end of a stream; ``stamp`` is the time of the last of them, unix seconds."""

    stream: str
    records: Sequence[bytes]
    stamp: float


@dataclass(slots=True)
class Write:
    """A function waiting to be run, and after the commit its outcome.

    ``appends`` gives the records that belong to the same transaction.
    """

    work: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    after: Callable[[Any], None] | None = None
    appends: Callable[[sqlite3.Connection, Any], Iterable[Appended]] | None = None
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Append:
    """Records waiting for their segment; the result is the number of the first of them in the stream."""

    stream: str
    records: Sequence[bytes]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    after: Callable[[int], None] | None = None
    stamp: float | None = None
    result: int = 0
    error: BaseException | None = None


@dataclass(slots=True)
class AppendAll:
    """Records for several streams, in one transaction; ``done`` is told on the event loop, with the error if any."""

    appends: Sequence[Appended]
    done: Callable[[BaseException | None], None]
    loop: asyncio.AbstractEventLoop
    error: BaseException | None = None


Item: TypeAlias = Write | Append | AppendAll


@dataclass(slots=True)
class _Stream:
    """What a group adds to a stream: records from number ``first`` on."""

    first: int
    written: float
    records: list[bytes] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.records)


class Writer:
    """Owns the write connection and the thread; ``submit`` may be called from any thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._queue: list[Item] = []
        self._ready = threading.Condition()
        self._closing = False
        self._busy = False
        self._progress = 0
        self._broken: StoreError | None = None
        self._ends: dict[str, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._run, name=f"store {path.name}", daemon=True)
        self._thread.start()

    @property
    def has_work(self) -> bool:
        """Whether anything submitted is still unacknowledged."""
        return self._busy or bool(self._queue)

    @property
    def progress(self) -> int:
        """A number that grows with every step the thread takes."""
        return self._progress

    def submit(self, item: Item) -> None:
        """Queue an item for the next group; StoreError when the store is closed."""
        with self._ready:
            if self._closing:
                raise StoreError(f"{self._path} is closed")
            self._queue.append(item)
            self._ready.notify()

    def finish(self) -> None:
        """Commit what waits, close the connection and end the thread; blocks until it has ended."""
        with self._ready:
            self._closing = True
            self._ready.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            self._commit_group(group)
        self._connection.close()

    def _take(self) -> list[Item]:
        with self._ready:
            self._busy = False
            while not self._queue and not self._closing:
                self._ready.wait()
            group, self._queue = self._queue, []
            self._busy = bool(group)
            return group

    def _commit_group(self, group: list[Item]) -> None:
        try:
            self._execute_group(group)
        except Exception as error:  # whatever it was, nobody may wait for ever
            self._fail_group(group, error)
        self.acknowledge(group)

    def _execute_group(self, group: list[Item]) -> None:
        if self._broken:
            raise self._broken
        self._connection.execute("BEGIN IMMEDIATE")
        streams: dict[str, _Stream] = {}
        for item in group:
            if isinstance(item, Append):
                item.result = self._collect(streams, item.stream, item.records, item.stamp)
            elif isinstance(item, AppendAll):
                for each in item.appends:
                    self._collect(streams, each.stream, each.records, each.stamp)
            else:
                self._execute(item, streams)
        self._write_segments(streams)
        self._progress += 1
        self.commit()
        self._progress += 1
        self._ends.update({name: (stream.next, stream.written) for name, stream in streams.items()})

    def commit(self) -> None:
        """End the group's transaction; when this returns, the group is on disk (durability "full")."""
        self._connection.execute("COMMIT")

    def _execute(self, item: Write, streams: dict[str, _Stream]) -> None:
        self._connection.execute("SAVEPOINT work")
        appended: Iterable[Appended] = ()
        try:
            item.result = item.work(self._connection)
            if item.appends is not None:
                appended = list(item.appends(self._connection, item.result))
        except Exception as error:
            if not self._connection.in_transaction or _undoes_group(error):
                raise
            self._connection.execute("ROLLBACK TO work")
            item.error = _as_store_error(error, self._path) if isinstance(error, sqlite3.Error) else error
        self._connection.execute("RELEASE work")
        for addition in appended:
            self._collect(streams, addition.stream, addition.records, addition.stamp)
        self._progress += 1

    def _collect(self, streams: dict[str, _Stream], name: str, records: Sequence[bytes], stamp: float | None) -> int:
        """Add records to the group's stream; the number of the first."""
        stream = streams.get(name)
        if stream is None:
            stream = streams[name] = _Stream(*self._end(name))
        number = stream.next
        stream.records.extend(records)
        stream.written = max(stream.written, time.time() if stamp is None else stamp)
        return number

    def _end(self, stream: str) -> tuple[int, float]:
        """The number of a stream's next record, and the time of its last."""
        if stream not in self._ends:
            last = self._connection.execute(
                "SELECT first + count, written FROM segments WHERE stream = ? ORDER BY first DESC LIMIT 1", (stream,)
            ).fetchone()
            self._ends[stream] = last or (0, 0.0)
        return self._ends[stream]

    def _write_segments(self, streams: dict[str, _Stream]) -> None:
        """One statement for all of them: between two, the thread waits for the interpreter."""
        values: list[object] = []
        rows = 0
        for name, stream in streams.items():
            first = stream.first
            for run in filter(None, split_records(stream.records)):
                values += (name, first, len(run), stream.written, encode_records(run))
                first += len(run)
                rows += 1
        if rows:
            places = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
            self._connection.execute(f"INSERT INTO segments VALUES {places}", values)

    def _fail_group(self, group: list[Item], error: Exception) -> None:
        failure = _as_store_error(error, self._path)
        if not self._rolled_back() or _primary_code(error) in _FATAL:
            self._broken = failure
        for item in group:
            item.error = failure

    def _rolled_back(self) -> bool:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def acknowledge(self, group: list[Item]) -> None:
        """Tell every caller of a group how it ended."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Item]] = {}
        for item in group:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, items in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, items)


def _resolve(items: list[Item]) -> None:
    for item in items:
        if isinstance(item, AppendAll):
            _guarded(item.loop, item.done, item.error)
            continue
        if item.error is None and item.after is not None:
            _guarded(item.loop, item.after, item.result)
        if item.future.done():  # its caller was cancelled; the write stands
            continue
        if item.error is not None:
            item.future.set_exception(item.error)
        else:
            item.future.set_result(item.result)


def _guarded(loop: asyncio.AbstractEventLoop, call: Callable[[Any], None], argument: Any) -> None:
    try:
        call(argument)
    except Exception as error:  # the write stands, and those behind it in the group must hear of theirs
        context = {"message": "what follows a committed write failed", "exception": error}
        loop.call_exception_handler(context)


def _primary_code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _undoes_group(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _GROUP


def _as_store_error(error: Exception, path: Path) -> StoreError:
    if isinstance(error, StoreError):
        return error
    failure = StoreError(f"{path}: {error}; nothing of this write was kept")
    failure.__cause__ = error
    return failure
