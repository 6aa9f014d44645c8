"""Where the journal of a job lies, and who works on it: a folder here, a blob container there (`blob_storage`)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from iot_core.errors import InputError, StoreError
from transport.folder_lock import FolderLock, FolderLockedError

__all__ = ["FILE", "FolderStorage", "JobStorage", "Jobs", "JournalBusyError", "checked_line", "line_of", "storage_of"]

FILE, LOCK, HOLDER = "journal", "lock", "holder"
LOOK_S = 0.25
LINE_BYTES_MAX = 1_000_000
"""A longer line is not one of ours; the values of a device together stay under 80,000 bytes."""


class JournalBusyError(InputError):
    """Somebody else works on the job now."""


class JobStorage(Protocol):
    """The journal of one job: lines that are only ever added, and a lease for one writer; beside it, small notes.

    Every method raises StoreError when the place cannot be read or written.
    """

    @property
    def place(self) -> str:
        """For messages; without secrets."""
        ...

    @property
    def look_every_s(self) -> float:
        """Seconds between two looks at a note that are no burden."""
        ...

    def exists(self) -> bool:
        """Whether there is a journal."""
        ...

    def acquire(self, holder: str) -> None:
        """Become the one who writes; JournalBusyError names who does."""
        ...

    def release(self) -> None:
        """Let others write."""
        ...

    def create(self) -> bool:
        """An empty journal; False when there is one already."""
        ...

    def append(self, data: bytes) -> None:
        """Returns when the lines are durable."""
        ...

    def replace(self, data: bytes) -> None:
        """These lines in place of all others, durable when it returns; cut off, it has done all or nothing."""
        ...

    def put(self, name: str, note: bytes) -> None:
        """Replace a note as a whole; anybody may, lease or not."""
        ...

    def get(self, name: str) -> bytes | None:
        """A note; None when there is none."""
        ...

    def drop(self, name: str) -> None:
        """Take a note away, if it is there."""
        ...

    def lines(self) -> Iterator[bytes]:
        """All whole lines in their order, one at a time; without what a crash left torn at the end."""
        ...


class Jobs(Protocol):
    """A place of many journals that is no folder."""

    def storage(self, job_id: str) -> JobStorage:
        """That of one job."""
        ...

    def job_ids(self) -> list[str]:
        """The jobs of which there is anything."""
        ...


def storage_of(jobs: Path | Jobs, job_id: str) -> JobStorage:
    """The storage of a job; InputError for what is no job id."""
    if not job_id or Path(job_id).name != job_id:
        raise InputError(f"{job_id[:60]!r} is no job id")
    return FolderStorage(jobs / job_id) if isinstance(jobs, Path) else jobs.storage(job_id)


def line_of(text: bytes) -> bytes:
    """A line with the checksum of its text."""
    return b"%08x %s\n" % (zlib.crc32(text), text)


def checked_line(line: bytes) -> bytes | None:
    """The text of a line; None where it is torn or its checksum is wrong."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    return text if line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text) else None


class FolderStorage:
    """See `JobStorage`: a file of lines, locked by the system for as long as the process lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE
        self._lock = FolderLock(folder / LOCK)
        self._descriptor: int | None = None

    @property
    def place(self) -> str:
        return str(self._folder.parent)

    @property
    def look_every_s(self) -> float:
        return LOOK_S

    def exists(self) -> bool:
        return self._file.is_file()

    def put(self, name: str, note: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._folder / f"{name}.new"
        _overwrite(fresh, note)
        fresh.replace(self._folder / name)

    def get(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def drop(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def acquire(self, holder: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._lock.acquire()
        except FolderLockedError as error:
            raise JournalBusyError(
                f"{self._folder.name} is being worked on by {self._holder()} (process {error.holder}): "
                "wait, or cancel it"
            ) from None
        _overwrite(self._folder / HOLDER, holder.encode())

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._lock.release()

    def create(self) -> bool:
        try:
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            return False
        _sync_folder(self._folder)
        return True

    def append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._writable(), rest) :]
            os.fsync(self._writable())
        except OSError as error:
            raise StoreError(f"the journal {self._file} cannot be written: {error.strerror}") from error

    def replace(self, data: bytes) -> None:
        fresh = self._file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.close(self._writable())
        self._descriptor = descriptor
        self.append(data)
        fresh.replace(self._file)
        _sync_folder(self._folder)

    def lines(self) -> Iterator[bytes]:
        whole = whole_bytes(self._file)
        with self._file.open("rb") as file:
            while file.tell() < whole:
                yield file.readline(LINE_BYTES_MAX)

    def _writable(self) -> int:
        """The open file, its torn end cut off when it is opened again."""
        if self._descriptor is None:
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND)
            os.ftruncate(self._descriptor, whole_bytes(self._file))
        return self._descriptor

    def _holder(self) -> str:
        try:
            return (self._folder / HOLDER).read_text(encoding="utf-8")[:200] or "somebody"
        except OSError:
            return "somebody"


def whole_bytes(file: Path) -> int:
    """Bytes of a file up to the end of its last whole line."""
    size = file.stat().st_size
    with file.open("rb") as lines:
        lines.seek(max(0, size - LINE_BYTES_MAX))
        tail = lines.read()
    end = size - (len(tail) - tail.rfind(b"\n") - 1)
    last = tail[: len(tail) - (size - end)].rstrip(b"\n").rpartition(b"\n")[2] + b"\n"
    return end - len(last) if len(last) > 1 and checked_line(last) is None else end


def _overwrite(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """The name of a new file is durable only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
