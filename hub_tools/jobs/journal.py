"""The journal of a job: what each device had before, and what became of it, on disk before the next step is taken.

One line an entry, `CRC32 JSON`, only ever added; `storage` says where. A process that is killed leaves at most one torn
line at the end, which is cut off when the journal is written to again. One process works on a job at a time; anybody
may look.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.storage import FILE, Jobs, JobStorage, JournalBusyError, checked_line, line_of, storage_of
from hub_tools.service import Json
from iot_core.clock import Clock, SystemClock, iso
from iot_core.errors import InputError, StoreError

__all__ = ["FILE", "Before", "Journal", "JournalBusyError", "JournalHead", "JournalView", "Standing", "operator_name"]

VERSION = 1


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


class JournalView:
    """A journal to look at, also while somebody works on the job."""

    def __init__(self, storage: JobStorage, head: JournalHead) -> None:
        self.storage = storage
        self.head = head

    @classmethod
    def look(cls, jobs: Path | Jobs, job_id: str) -> JournalView:
        """The journal of a job; InputError when there is none, StoreError when it is damaged."""
        storage = _existing(jobs, job_id)
        return JournalView(storage, _head(storage, job_id))

    def entries(self) -> Iterator[Json]:
        """The entries in their order; StoreError for damage before the end."""
        return _entries(self.storage)

    def standings(self) -> dict[str, Standing]:
        """Every device that was noted, in that order, with the last that is known of it."""
        found: dict[str, Standing] = {}
        untouched = Standing(state=DeviceState.PENDING)
        for entry in self.entries():
            match entry["k"]:
                case "before":
                    found.setdefault(entry["d"], untouched)
                case "now":
                    found[entry["d"]] = Standing(state=DeviceState(entry["s"]), cause=entry.get("c", ""))
                case "undo":
                    last = found.get(entry["d"], untouched)
                    found[entry["d"]] = Standing(state=last.state, cause=last.cause, undone=entry["r"])
        return found

    def befores(self) -> Iterator[Before]:
        """The devices as they were just before they were written to, one by one, each once."""
        last = {entry["d"]: place for place, entry in enumerate(self.entries()) if entry["k"] == "before"}
        for place, entry in enumerate(self.entries()):
            if entry["k"] == "before" and last[entry["d"]] == place:
                yield Before(device_id=entry["d"], previous=entry["p"], versions=entry["v"])

    def last(self, kind: str) -> Json:
        """The last note of a kind; {} when there is none."""
        found: Json = {}
        for entry in self.entries():
            if entry["k"] == kind:
                found = entry
        return found


class Journal(JournalView):
    """A journal to go on with; use as a context manager. Made by `create` or `open`."""

    def __init__(self, storage: JobStorage, head: JournalHead, clock: Clock) -> None:
        super().__init__(storage, head)
        self._clock = clock
        self._waiting: list[bytes] = []

    @classmethod
    def create(
        cls,
        jobs: Path | Jobs,
        spec: JobSpec,
        *,
        host_name: str = "",
        operator: str = "",
        clock: Clock | None = None,
    ) -> Journal:
        """A new journal, also where one was cut off before its first entry; InputError when the job has one already."""
        clock = clock or SystemClock()
        storage = storage_of(jobs, spec.job_id)
        storage.acquire(operator or operator_name())
        head = JournalHead(
            spec=spec,
            operator=operator or operator_name(),
            host_name=host_name,
            began=iso(clock.now()),
        )
        try:
            if not storage.create() and any(storage.lines()):
                raise InputError(f"{spec.job_id} has a journal already: edgeyard job resume {spec.job_id}")
            journal = cls(storage, head, clock)
            journal._add_head()
            journal.sync()
        except BaseException:
            storage.release()
            raise
        return journal

    @classmethod
    def open(cls, jobs: Path | Jobs, job_id: str, *, operator: str = "", clock: Clock | None = None) -> Journal:
        """The journal of a job, to go on with it; InputError when there is none, JournalBusyError when another does."""
        storage = _existing(jobs, job_id)
        storage.acquire(operator or operator_name())
        try:
            return cls(storage, _head(storage, job_id), clock or SystemClock())
        except BaseException:
            storage.release()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Bring what waits to the disk and let others work on the job."""
        try:
            self.sync()
        finally:
            self.storage.release()

    def start_over(self) -> None:
        """Forget all but the job itself; only while nothing has been written to any device."""
        self._waiting.clear()
        self._add_head()
        self.storage.replace(b"".join(self._waiting))
        self._waiting.clear()

    def _add_head(self) -> None:
        head = self.head
        fields: Json = {"operator": head.operator, "hub": head.host_name, "at": head.began}
        self._add("job", version=VERSION, spec=head.spec.to_json(), **fields)

    def before(self, device_id: str, previous: Mapping[str, Any], versions: Mapping[str, int | None]) -> None:
        """A device is about to be changed; on disk after the next `sync`."""
        self._add("before", d=device_id, p=dict(previous), v=dict(versions))

    def outcome(self, device_id: str, state: DeviceState, cause: str = "") -> None:
        """A device is in a new state; on disk after the next `sync`."""
        at = round(self._clock.now(), 1)
        self._add("now", d=device_id, s=state.value, t=at, **({"c": cause} if cause else {}))

    def undone(self, device_id: str, result: str) -> None:
        """What an undo did to a device."""
        self._add("undo", d=device_id, r=result, t=round(self._clock.now(), 1))

    def note(self, kind: str, **fields: Any) -> None:
        """An entry of another kind, with the time and who makes it; on disk after the next `sync`."""
        self._add(kind, **{"at": iso(self._clock.now()), "operator": operator_name(), **fields})

    def sync(self) -> None:
        """Returns when all that was noted is on disk; StoreError when it cannot be."""
        if self._waiting:
            self.storage.append(b"".join(self._waiting))
            self._waiting.clear()

    def _add(self, kind: str, **fields: Any) -> None:
        text = json.dumps({"k": kind, **fields}, separators=(",", ":"), ensure_ascii=False).encode()
        self._waiting.append(line_of(text))


def operator_name() -> str:
    """Who works here: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _existing(jobs: Path | Jobs, job_id: str) -> JobStorage:
    storage = storage_of(jobs, job_id)
    if not storage.exists():
        raise InputError(f"there is no journal of {job_id} in {storage.place}: it was run elsewhere, or never")
    return storage


def _head(storage: JobStorage, job_id: str) -> JournalHead:
    for entry in _entries(storage):
        if entry.get("k") != "job" or entry.get("version") != VERSION:
            raise StoreError(f"the journal of {job_id} was written by another version of edgeyard")
        spec = JobSpec.from_json(entry["spec"])
        return JournalHead(
            spec=spec,
            operator=entry["operator"],
            host_name=entry["hub"],
            began=entry["at"],
        )
    raise StoreError(f"the journal of {job_id} is empty: nothing was done")


def _entries(storage: JobStorage) -> Iterator[Json]:
    for number, line in enumerate(storage.lines(), start=1):
        text = checked_line(line)
        if text is None:
            raise StoreError(f"the journal in {storage.place} is damaged at line {number:,}")
        entry: Json = json.loads(text)
        yield entry
