"""The journal of a job: what each device had before, and what became of it, on disk before the next step is taken.

One line an entry, `CRC32 JSON`, in a file that is only ever added to. A process that is killed leaves at most one torn
line at the end, which is cut off when the journal is opened again. One process works on a job at a time.
"""

from __future__ import annotations

import getpass
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.service import Json
from iot_core.clock import Clock, SystemClock, iso
from iot_core.errors import InputError, StoreError
from transport.folder_lock import FolderLock, FolderLockedError

__all__ = ["Before", "Journal", "JournalBusyError", "JournalHead", "Standing"]

VERSION = 1
FILE, LOCK = "journal", "lock"
LINE_BYTES_MAX = 1_000_000
"""A longer line is not one of ours; the values of a device together stay under 80,000 bytes."""


class JournalBusyError(InputError):
    """Somebody else works on the job now."""


@dataclass(frozen=True, kw_only=True)
class JournalHead:
    """The first entry: the job, who began it, when, and on which hub."""

    spec: JobSpec
    operator: str
    host_name: str
    began: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """A device before the job: values and versions by touched path; under "desired" the version of the section."""

    device_id: str
    previous: Mapping[str, Any]
    versions: Mapping[str, int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The last that is noted of a device: its state, why, and whether the job was undone there."""

    state: DeviceState
    cause: str = ""
    undone: str = ""


class Journal:
    """See the module; use as a context manager. Made by `create` or `open`."""

    def __init__(self, folder: Path, head: JournalHead, descriptor: int, lock: FolderLock, clock: Clock) -> None:
        self.folder = folder
        self.head = head
        self._descriptor = descriptor
        self._lock = lock
        self._clock = clock
        self._waiting: list[bytes] = []

    @classmethod
    def create(cls, jobs: Path, spec: JobSpec, *, host_name: str = "", clock: Clock | None = None) -> Journal:
        """A new journal in `jobs`/JOB; InputError when the job has one already."""
        clock = clock or SystemClock()
        folder = jobs / spec.job_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _locked(folder, spec.job_id)
        head = JournalHead(spec=spec, operator=_operator(), host_name=host_name, began=iso(clock.now()))
        try:
            descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            lock.release()
            raise InputError(f"{spec.job_id} has a journal already: edgeyard job resume {spec.job_id}") from None
        journal = cls(folder, head, descriptor, lock, clock)
        journal._begin()
        return journal

    @classmethod
    def open(cls, jobs: Path, job_id: str, *, clock: Clock | None = None) -> Journal:
        """The journal of a job, to go on with it; InputError when there is none, JournalBusyError when another does."""
        folder = _folder_of(jobs, job_id)
        lock = _locked(folder, job_id)
        try:
            head = read_head(jobs, job_id)
            descriptor = os.open(folder / FILE, os.O_RDWR | os.O_APPEND)
            os.ftruncate(descriptor, _whole_lines(folder / FILE))
        except BaseException:
            lock.release()
            raise
        return cls(folder, head, descriptor, lock, clock or SystemClock())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Bring what waits to the disk and let others work on the job."""
        self.sync()
        os.close(self._descriptor)
        self._lock.release()

    def start_over(self) -> None:
        """Forget what was noted of devices; only while nothing has been written to any."""
        self._waiting.clear()
        os.ftruncate(self._descriptor, 0)
        self._begin()

    def _begin(self) -> None:
        head = self.head
        fields = {"operator": head.operator, "hub": head.host_name, "at": head.began}
        self._add("job", version=VERSION, spec=head.spec.to_json(), **fields)
        self.sync()

    def before(self, device_id: str, previous: Mapping[str, Any], versions: Mapping[str, int | None]) -> None:
        """A device is about to be changed; on disk after the next `sync`."""
        self._add("before", d=device_id, p=dict(previous), v=dict(versions))

    def outcome(self, device_id: str, state: DeviceState, cause: str = "") -> None:
        """A device is in a new state; on disk after the next `sync`."""
        self._add("now", d=device_id, s=state.value, **({"c": cause} if cause else {}))

    def undone(self, device_id: str, result: str) -> None:
        """What an undo did to a device."""
        self._add("undo", d=device_id, r=result)

    def note(self, kind: str, **fields: Any) -> None:
        """An entry of another kind, with the time and who makes it; on disk after the next `sync`."""
        self._add(kind, at=iso(self._clock.now()), operator=_operator(), **fields)

    def sync(self) -> None:
        """Returns when all that was noted is on disk; StoreError when it cannot be."""
        if not self._waiting:
            return
        try:
            data = memoryview(b"".join(self._waiting))
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise StoreError(f"the journal {self.folder / FILE} cannot be written: {error.strerror}") from error
        self._waiting.clear()

    def standings(self) -> dict[str, Standing]:
        """Every device that was noted, in that order, with the last that is known of it."""
        return standings(self.folder)

    def befores(self) -> Iterator[Before]:
        """The devices as they were, one by one."""
        return befores(self.folder)

    def last(self, kind: str) -> Json:
        """The last note of a kind; {} when there is none."""
        found: Json = {}
        for entry in entries(self.folder):
            if entry["k"] == kind:
                found = entry
        return found

    def _add(self, kind: str, **fields: Any) -> None:
        text = json.dumps({"k": kind, **fields}, separators=(",", ":"), ensure_ascii=False).encode()
        self._waiting.append(b"%08x %s\n" % (zlib.crc32(text), text))


def read_head(jobs: Path, job_id: str) -> JournalHead:
    """The first entry of a job's journal; InputError when there is no journal, StoreError when it is damaged."""
    for entry in entries(_folder_of(jobs, job_id)):
        if entry.get("k") != "job" or entry.get("version") != VERSION:
            raise StoreError(f"the journal of {job_id} was written by another version of edgeyard")
        spec = JobSpec.from_json(entry["spec"])
        return JournalHead(spec=spec, operator=entry["operator"], host_name=entry["hub"], began=entry["at"])
    raise StoreError(f"the journal of {job_id} is empty: nothing was done")


def standings(folder: Path) -> dict[str, Standing]:
    """See `Journal.standings`."""
    found: dict[str, Standing] = {}
    untouched = Standing(state=DeviceState.PENDING)
    for entry in entries(folder):
        match entry["k"]:
            case "before":
                found.setdefault(entry["d"], untouched)
            case "now":
                found[entry["d"]] = Standing(state=DeviceState(entry["s"]), cause=entry.get("c", ""))
            case "undo":
                last = found.get(entry["d"], untouched)
                found[entry["d"]] = Standing(state=last.state, cause=last.cause, undone=entry["r"])
    return found


def befores(folder: Path) -> Iterator[Before]:
    """See `Journal.befores`."""
    for entry in entries(folder):
        if entry["k"] == "before":
            yield Before(device_id=entry["d"], previous=entry["p"], versions=entry["v"])


def entries(folder: Path) -> Iterator[Json]:
    """The entries in their order; what is torn at the end is left out, StoreError for damage before it."""
    file = folder / FILE
    whole = _whole_lines(file)
    with file.open("rb") as lines:
        while lines.tell() < whole:
            entry = _entry(lines.readline(LINE_BYTES_MAX))
            if entry is None:
                raise StoreError(f"the journal {file} is damaged before byte {lines.tell():,}")
            yield entry


def _entry(line: bytes) -> Json | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    entry: Json = json.loads(text)
    return entry


def _whole_lines(file: Path) -> int:
    """Bytes of the file up to the end of its last whole entry."""
    size = file.stat().st_size
    with file.open("rb") as lines:
        lines.seek(max(0, size - LINE_BYTES_MAX))
        tail = lines.read()
    end = size - (len(tail) - tail.rfind(b"\n") - 1)
    last = tail[: len(tail) - (size - end)].rstrip(b"\n").rpartition(b"\n")[2] + b"\n"
    return end - len(last) if len(last) > 1 and _entry(last) is None else end


def _folder_of(jobs: Path, job_id: str) -> Path:
    if not job_id or Path(job_id).name != job_id:
        raise InputError(f"{job_id[:60]!r} is no job id")
    if not (jobs / job_id / FILE).is_file():
        raise InputError(f"there is no journal of {job_id} in {jobs}: it was run elsewhere, or never")
    return jobs / job_id


def _locked(folder: Path, job_id: str) -> FolderLock:
    lock = FolderLock(folder / LOCK)
    try:
        lock.acquire()
    except FolderLockedError as error:
        raise JournalBusyError(f"{job_id} is being worked on by process {error.holder}: wait, or cancel it") from None
    return lock


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
