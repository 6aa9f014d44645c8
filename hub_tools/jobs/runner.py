"""Runs one job: reads the devices, notes what each had before, writes, and waits for what the devices say.

Order on disk: the previous values of a device are synced before anything is written to it, and what became of it after
that; so a job that is cut off at any point can be resumed and undone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from hub_tools.jobs.acknowledgement import follow
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState, Outcome, Tally
from hub_tools.jobs.paths import Path
from hub_tools.jobs.planning import NoDeviceMatchesError, check_drift, nobody
from hub_tools.jobs.population import DeviceRow, Sketch, read_devices
from hub_tools.jobs.progress import JobProgress, JobReport, Phase
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing
from hub_tools.jobs.twins import Holders, read_twins
from hub_tools.service import HubService, HubUnreachableError
from iot_core.errors import EdgeyardError

__all__ = [
    "JobInterruptedError",
    "NoJournal",
    "Noted",
    "Recorder",
    "Remaining",
    "carry_on",
    "run_job",
    "until_stopped",
]

CHUNK, CHUNK_S = 2_000, 10.0
"""Devices that are written between two looks at the window, the expiry and a wish to stop; fewer where they would take
longer than that many seconds.
"""
LEAST_CHUNK = 100
T = TypeVar("T")
BATCH, BATCH_S = 100, 1.0
ATTEMPTS = 5
"""Reads and conditional writes of one device that somebody else writes to at the same time."""
HOLDS, MATCHES_NOT, GONE = "holds the value already", "no longer matches the condition", "no such device"
CONTENDED = "somebody else writes to it all the time"
SECTION_VERSION = "desired"
"""Beside the versions of the touched paths, a journal has that of the whole desired section."""


class JobInterruptedError(EdgeyardError):
    """The hub went away while devices were written to; what was done is in the journal."""


class Recorder(Protocol):
    """Where a job notes what it does; `hub_tools.jobs.journal.Journal` is the one on disk."""

    def before(self, device_id: str, previous: Mapping[str, Any], versions: Mapping[str, int | None]) -> None:
        """A device is about to be changed; on disk after the next `sync`."""
        ...

    def outcome(self, device_id: str, state: DeviceState, cause: str = "") -> None:
        """A device is in a new state; on disk after the next `sync`."""
        ...

    def sync(self) -> None:
        """Returns when all that was noted is on disk."""
        ...


class NoJournal:
    """Notes nothing: the job can be neither resumed nor undone."""

    def before(self, device_id: str, previous: Mapping[str, Any], versions: Mapping[str, int | None]) -> None:
        del device_id, previous, versions

    def outcome(self, device_id: str, state: DeviceState, cause: str = "") -> None:
        del device_id, state, cause

    def sync(self) -> None:
        return


async def run_job(
    service: HubService,
    spec: JobSpec,
    path: Path,
    *,
    journal: Recorder | None = None,
    capacity: Capacity | None = None,
    timeout_s: float = 60.0,
    plain: bool = False,
    planned: Sketch | None = None,
    most_drift: float = 0.0,
    on_progress: Callable[[JobProgress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
    timing: Timing | None = None,
) -> JobReport:
    """Runs the job to its end, or until `stop` says so or it expires.

    Devices that hold the values already are skipped. Connected devices are given `timeout_s` to acknowledge; those
    that are not connected stay written and take the values over when they connect. Raises NoDeviceMatchesError,
    PlanDriftError before anything is written, JobFailedError, JobInterruptedError, and HubError for a condition that
    the hub refuses.
    """
    run = _Run(
        service, spec, path, journal or NoJournal(), capacity, on_progress, stop or asyncio.Event(), timing or Timing()
    )
    await run.wait_for_start()
    await run.read()
    if not run.matched:
        raise NoDeviceMatchesError(nobody(spec))
    if planned is not None:
        check_drift(planned, run.sketch, most_drift)
    return await run.finish(timeout_s, plain)


async def carry_on(
    service: HubService,
    spec: JobSpec,
    path: Path,
    remaining: Remaining,
    *,
    journal: Recorder,
    capacity: Capacity | None = None,
    timeout_s: float = 60.0,
    plain: bool = False,
    on_progress: Callable[[JobProgress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
    timing: Timing | None = None,
) -> JobReport:
    """Does what is left of a job that was begun; raises what `run_job` raises once it writes."""
    run = _Run(service, spec, path, journal, capacity, on_progress, stop or asyncio.Event(), timing or Timing())
    run.matched, run.tally = remaining.matched, remaining.tally
    run.to_write, run.versions = dict(remaining.to_write), dict(remaining.versions)
    return await run.finish(timeout_s, plain)


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A twin as the journal has it: the ETag that a write must find ("": any), the version of its desired section."""

    etag: str
    version: int

    @classmethod
    def of(cls, row: DeviceRow) -> Noted:
        """A twin that was just noted."""
        return cls(etag=row.etag, version=row.version)


@dataclass(kw_only=True)
class Remaining:
    """What is left of a job: devices still to be written to (counted as pending in `tally`), and the versions of the
    desired sections before the write of those that are to acknowledge.
    """

    matched: int
    tally: Tally
    to_write: Mapping[str, Noted]
    versions: Mapping[str, int]


@dataclass
class _Run:
    """A job under way. In memory: of all devices id and ETag, and the versions of those that are to acknowledge."""

    service: HubService
    spec: JobSpec
    path: Path
    journal: Recorder
    capacity: Capacity | None
    on_progress: Callable[[JobProgress], None]
    stop: asyncio.Event
    timing: Timing
    tally: Tally = field(default_factory=Tally)
    sketch: Sketch = field(default_factory=Sketch)
    matched: int = 0
    stopped: str = ""
    written: int = 0
    rate: float = 0.0
    to_write: dict[str, Noted] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.timing.clock.monotonic()

    @property
    def awaits(self) -> bool:
        """See `JobSpec.awaits`."""
        return self.spec.awaits

    async def wait_for_start(self) -> None:
        if self.spec.start is not None:
            await self._sleep_until(self.spec.start)

    async def read(self) -> None:
        """Read all devices and note them, page by page; a page is on disk before the next one is asked for."""
        pages = read_devices(self.service, self.spec, pace=query_pace(self.capacity, self.timing))
        holders = Holders(self.service, self.spec, capacity=self.capacity, timing=self.timing)
        async for page in pages:
            for row in await holders.checked(page.rows):
                self._take(row)
            self.journal.sync()
            self._show(Phase.READING)

    def _take(self, row: DeviceRow) -> None:
        self.matched += 1
        self.sketch.add(row.device_id)
        self.remember(row)
        if row.holds and self.spec.kind == "twin":
            self._note(None, Outcome(device_id=row.device_id, state=DeviceState.SKIPPED, cause=HOLDS))
            return
        self.tally.add(Outcome(device_id=row.device_id, state=DeviceState.PENDING))
        self.to_write[row.device_id] = Noted.of(row)
        if self.awaits and row.connected:
            self.versions[row.device_id] = row.version

    async def finish(self, timeout_s: float, plain: bool) -> JobReport:
        """Write, wait for what the devices say, and tell how it went."""
        try:
            await self.write()
        except HubUnreachableError as error:
            raise JobInterruptedError(
                f"{self.spec.job_id} was cut off after {self.written:,} of {len(self.to_write):,} devices: {error} "
                f"Go on with: edgeyard job resume {self.spec.job_id}"
            ) from error
        if self.awaits and not self.stopped:
            await self.follow(timeout_s, plain)
        return self.report()

    async def write(self) -> None:
        """Write to all devices, chunk by chunk, within the window."""
        began = self.timing.clock.monotonic()
        for chunk in self._chunks():
            if not await self._may_go_on():
                return
            for device_id in chunk:
                self._note(DeviceState.PENDING, Outcome(device_id=device_id, state=DeviceState.SCHEDULED))
            self.journal.sync()
            await self._write_to(chunk, began)
        if self.stop.is_set():
            self.stopped = "cancelled"

    async def _write_to(self, devices: Mapping[str, Noted], began: float) -> None:
        """Write to scheduled devices; those that somebody else wrote to are noted anew first, and written to again."""
        for _ in range(ATTEMPTS):
            moved = await self._attempt(devices, began)
            if not moved or self.stop.is_set():
                return
            devices = await self._read_again(moved)
        for device_id in devices:
            self._end(Outcome(device_id=device_id, state=DeviceState.FAILED, cause=CONTENDED))
        self.journal.sync()

    async def _attempt(self, devices: Mapping[str, Noted], began: float) -> Mapping[str, Noted]:
        """Write to devices as they were noted; those that are other ones by now stay scheduled."""
        etags = {device_id: noted.etag for device_id, noted in devices.items()}
        writing = _batches(self.path.carry_out(etags), self._batch, self.timing)
        moved: dict[str, Noted] = {}
        async for outcomes in until_stopped(writing, self.stop):
            for outcome in outcomes:
                if outcome.moved:
                    moved[outcome.device_id] = devices[outcome.device_id]
                else:
                    self._end(outcome)
            self.journal.sync()
            self.rate = self.written / max(self.timing.clock.monotonic() - began, 1e-6)
            self._show(Phase.WRITING, left=len(self.to_write) - self.written)
        return moved

    async def _read_again(self, moved: Mapping[str, Noted]) -> Mapping[str, Noted]:
        """Note devices anew that somebody wrote to since they were noted; those that still need the change."""
        rows = await read_twins(self.service, self.spec, list(moved), capacity=self.capacity, timing=self.timing)
        again: dict[str, Noted] = {}
        for device_id, noted in moved.items():
            row = rows.get(device_id)
            if row is not None and row.matches and not row.holds:
                self.remember(row)
                again[device_id] = Noted.of(row)
                if device_id in self.versions:
                    self.versions[device_id] = row.version
            else:
                self._end(_settled(device_id, self.spec, noted, row))
        self.journal.sync()
        return again

    def _end(self, outcome: Outcome) -> None:
        """A scheduled device whose turn is over."""
        self._note(DeviceState.SCHEDULED, outcome)
        self.written += 1
        if outcome.state is not DeviceState.WRITTEN:
            self.versions.pop(outcome.device_id, None)

    async def follow(self, timeout_s: float, plain: bool) -> None:
        """Wait until the connected devices have said something, or the time is over."""
        self._show(Phase.FOLLOWING)
        pace = query_pace(self.capacity, self.timing)
        found = follow(
            self.service, self.spec, self.versions, timeout_s=timeout_s, plain=plain, timing=self.timing, pace=pace
        )
        async for outcomes in until_stopped(found, self.stop):
            for outcome in outcomes:
                self._note(DeviceState.WRITTEN, outcome)
            self.journal.sync()
            self._show(Phase.FOLLOWING)
        if self.stop.is_set():
            self.stopped = "cancelled"

    def report(self) -> JobReport:
        self._show(Phase.DONE)
        return JobReport(
            job_id=self.spec.job_id,
            matched=self.matched,
            tally=self.tally,
            awaited=self.awaits,
            seconds=self.timing.clock.monotonic() - self.began,
            stopped=self.stopped,
        )

    async def _may_go_on(self) -> bool:
        """Wait for the window to open; whether there is still time, and nobody wants to stop."""
        if self.spec.window is not None and (wait_s := self.spec.window.wait_s(self.timing.clock.now())):
            await self._sleep_until(self.timing.clock.now() + wait_s)
        if self.stop.is_set():
            self.stopped = "cancelled"
        elif self.spec.expires is not None and self.timing.clock.now() >= self.spec.expires:
            self.stopped = "expired"
        return not self.stopped

    async def _sleep_until(self, moment: float) -> None:
        """In small steps, so that a wish to stop is heard."""
        self._show(Phase.WAITING, left_s=moment - self.timing.clock.now())
        while (left := moment - self.timing.clock.now()) > 0 and not self.stop.is_set():
            await self.timing.sleep(min(left, 1.0))

    def _chunks(self) -> Iterator[Mapping[str, Noted]]:
        if self.path.takes_all and self.to_write:
            yield self.to_write
            return
        size = CHUNK if self.spec.kind == "twin" else LEAST_CHUNK
        if self.capacity is not None:
            size = max(LEAST_CHUNK, min(size, int(self.capacity.rate("twin updates") * CHUNK_S)))
        devices = iter(self.to_write.items())
        while chunk := dict(islice(devices, size)):
            yield chunk

    @property
    def _batch(self) -> int:
        """Outcomes noted with one sync: what has been called or sent is never done twice, so each at once."""
        return BATCH if self.spec.kind == "twin" else 1

    def remember(self, row: DeviceRow) -> None:
        """What an undo puts back."""
        self.journal.before(row.device_id, row.previous, {**row.versions, SECTION_VERSION: row.version})

    def _note(self, before: DeviceState | None, outcome: Outcome) -> None:
        self.journal.outcome(outcome.device_id, outcome.state, outcome.cause)
        if before is None:
            self.tally.add(outcome)
        else:
            self.tally.move(before, outcome)

    def _show(self, phase: Phase, *, left: int = 0, left_s: float | None = None) -> None:
        if left and self.rate:
            left_s = left / self.rate
        states = dict(self.tally.counts)
        self.on_progress(
            JobProgress(phase=phase, matched=self.matched, states=states, rate=self.rate, remaining_s=left_s)
        )


def _settled(device_id: str, spec: JobSpec, noted: Noted, row: DeviceRow | None) -> Outcome:
    """Of a device whose twin moved and that needs no write any more.

    A write whose answer was lost is known by the version that it made. Tags have no versions; their value decides.
    """
    if row is None:
        return Outcome(device_id=device_id, state=DeviceState.FAILED, cause=GONE)
    if row.holds and (not spec.desired or row.version == noted.version + 1):
        return Outcome(device_id=device_id, state=DeviceState.WRITTEN)
    return Outcome(device_id=device_id, state=DeviceState.SKIPPED, cause=HOLDS if row.holds else MATCHES_NOT)


async def until_stopped(source: AsyncGenerator[T, None], stop: asyncio.Event) -> AsyncGenerator[T, None]:
    """What comes from `source` until `stop` is set; then what is under way there is cancelled at once."""
    stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            item = asyncio.create_task(_next(source))
            try:
                await asyncio.wait((item, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not item.done():
                    item.cancel()
                    await asyncio.gather(item, return_exceptions=True)
            if item.cancelled() or (result := item.result()) is None:
                return
            yield result[0]
    finally:
        stopping.cancel()
        await source.aclose()


async def _next(source: AsyncGenerator[T, None]) -> tuple[T] | None:
    """The next thing, by itself in a tuple; None when there is none."""
    async for item in source:
        return (item,)
    return None


async def _batches(
    outcomes: AsyncGenerator[Outcome, None], most: int, timing: Timing
) -> AsyncGenerator[list[Outcome], None]:
    """Outcomes as they come, some at a time, none held back for long."""
    batch: list[Outcome] = []
    began = timing.clock.monotonic()
    async with aclosing(outcomes):
        async for outcome in outcomes:
            batch.append(outcome)
            if len(batch) >= most or timing.clock.monotonic() - began >= BATCH_S:
                yield batch
                batch, began = [], timing.clock.monotonic()
    if batch:
        yield batch
