"""Putting back what a job changed: each device gets its own previous values, by a write conditional on its ETag.

A device whose touched values somebody changed since is left alone, and told: its value is no longer the job's, or the
version that wrote it is later than the job's own write can have been. Tags have no versions; their value decides.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from hub_tools.jobs.direct import BULK_AT_ONCE, PRECONDITION_FAILED, in_parallel
from hub_tools.jobs.job import JobSpec, TwinPath
from hub_tools.jobs.journal import Before, Journal
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.population import Columns, DeviceRow, id_conditions
from hub_tools.jobs.runner import SECTION_VERSION
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.timing import Pace, Timing
from hub_tools.service import HubService, Json
from iot_core.errors import HubError, InputError
from iot_core.identity import Identity
from iot_core.limits import BULK_DEVICES_MAX

__all__ = ["UndoReport", "Undone", "undo_job"]

ATTEMPTS = 3
"""Reads and conditional writes of one device that somebody else writes to at the same time."""
WRITTEN = frozenset(
    {DeviceState.SCHEDULED, DeviceState.WRITTEN, DeviceState.ACKNOWLEDGED, DeviceState.REFUSED, DeviceState.TIMED_OUT}
)
"""States in which a device may have the job's values."""


class Undone(StrEnum):
    """What an undo did to a device."""

    RESTORED = "restored"
    CHANGED_SINCE = "changed since"
    GONE = "no such device"
    FAILED = "failed"


@dataclass(kw_only=True)
class UndoReport:
    """Devices by what was done; `left` are those that do not have their previous values, with the reason."""

    job_id: str
    counts: Counter[Undone] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.left

    def add(self, device_id: str, result: Undone, reason: str = "") -> None:
        self.counts[result] += 1
        if result is not Undone.RESTORED:
            self.left[device_id] = reason or result.value

    def to_json(self) -> Json:
        counts = {result.value: number for result, number in self.counts.items()}
        return {"event": "undone", "job": self.job_id, "counts": counts, "left": self.left, "complete": self.complete}


async def undo_job(
    service: HubService,
    journal: Journal,
    *,
    capacity: Capacity | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    stop: asyncio.Event | None = None,
    timing: Timing | None = None,
) -> UndoReport:
    """Undoes the journal's job, once for each device however often it is called; `on_progress` gets (done, total).

    Raises InputError for a job that called methods or sent messages: these cannot be taken back.
    """
    spec = journal.head.spec
    if spec.kind != "twin":
        raise InputError(f"{spec.job_id} called methods or sent messages: that cannot be undone")
    journal.note("undo begins")
    journal.sync()
    undo = _Undo(service, journal, spec, _pace(capacity, timing or Timing()))
    known = journal.standings()
    wanted = {name for name, item in known.items() if item.state in WRITTEN and item.undone != Undone.RESTORED}
    report, done = UndoReport(job_id=spec.job_id), 0
    async for results in in_parallel(_chunks(journal, wanted), undo.chunk, BULK_AT_ONCE):
        for name, (result, reason) in results.items():
            journal.undone(name, result.value)
            report.add(name, result, reason)
        journal.sync()
        done += len(results)
        on_progress(done, len(wanted))
        if stop is not None and stop.is_set():
            break
    return report


def _pace(capacity: Capacity | None, timing: Timing) -> Pace:
    return Pace(None if capacity is None else capacity.rate("registry operations"), timing)


def _chunks(journal: Journal, wanted: set[str]) -> Iterator[list[Before]]:
    chunk: list[Before] = []
    for before in journal.befores():
        if before.device_id in wanted:
            chunk.append(before)
        if len(chunk) == BULK_DEVICES_MAX:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


Results = dict[str, tuple[Undone, str]]


class _Undo:
    def __init__(self, service: HubService, journal: Journal, spec: JobSpec, pace: Pace) -> None:
        self._service = service
        self._spec = spec
        self._pace = pace
        self._columns = Columns(spec)

    async def chunk(self, befores: list[Before]) -> Results:
        """A hundred devices: read, judged, and written to by one call.

        Those that moved meanwhile, or seem to have, are judged by their twins, since the index of queries lags.
        """
        rows = {row.device_id: row async for row in self._rows([item.device_id for item in befores])}
        items: list[Json] = []
        for before in befores:
            row = rows.get(before.device_id)
            if row is not None and not self._changed(row, before):
                item = {"id": before.device_id, "importMode": "updateTwinIfMatchETag", "twinETag": row.etag}
                items.append({**item, **_patch(before)})
        restored = {str(item["id"]) for item in items} - await self._write(items)
        return {
            before.device_id: (Undone.RESTORED, "") if before.device_id in restored else await self._alone(before)
            for before in befores
        }

    async def _rows(self, devices: list[str]) -> AsyncIterator[DeviceRow]:
        for condition, _ in id_conditions(devices):
            text = f"SELECT {self._columns.select} FROM devices WHERE {condition}"
            async for row in self._service.query(text, page_size=BULK_DEVICES_MAX):
                yield self._columns.read(row)

    async def _write(self, items: list[Json]) -> set[str]:
        """The devices that did not take it."""
        if not items:
            return set()
        for _ in items:
            await self._pace.turn()
        result = await self._service.change_devices(items)
        return {str(error.get("deviceId")) for error in result.errors}

    async def _alone(self, before: Before) -> tuple[Undone, str]:
        """One device by its twin itself, which no index lags behind."""
        identity = Identity(before.device_id)
        for _ in range(ATTEMPTS):
            try:
                row = self._columns.read_twin(await self._service.get_twin(identity))
                if all(row.previous.get(name) == value for name, value in before.previous.items()):
                    return Undone.RESTORED, ""  # by an undo that was cut off before it could say so
                if reason := self._changed(row, before):
                    return Undone.CHANGED_SINCE, reason
                await self._service.patch_twin(identity, _patch(before), etag=row.etag)
                return Undone.RESTORED, ""
            except HubError as error:
                if error.status != PRECONDITION_FAILED:
                    return (Undone.GONE, "") if error.status == 404 else (Undone.FAILED, str(error))
        return Undone.FAILED, "somebody else writes to it all the time"

    def _changed(self, row: DeviceRow, before: Before) -> str:
        """What somebody changed since the job, "" for nothing."""
        first = int(before.versions.get(SECTION_VERSION) or 0) + 1
        for path in self._spec.touched:
            name = str(path)
            if row.previous.get(name) != self._spec.target(path):
                return f"{name} is no longer what the job set"
            version = row.versions.get(name)
            if version is not None and version > first:
                return f"{name} was set again, at version {version}"
        return ""


def _patch(before: Before) -> Json:
    patch: Json = {}
    for name, value in before.previous.items():
        patch = _merged(patch, TwinPath.parse(name).patch(value))
    return patch


def _merged(low: Json, high: Json) -> Json:
    """Both patches in one; nulls stay, since they delete."""
    result: Json = dict(low)
    for name, value in high.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if both else value
    return result
