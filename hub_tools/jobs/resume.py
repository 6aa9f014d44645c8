"""Going on with a job that was cut off, or again with the devices that failed: none is repeated, none is left out.

A device that was scheduled and of which nothing more is noted is in doubt. A twin can be read (not by a query, whose
index lags); a method that may have
been called, or a message that may have been sent, is never done again, and is told as failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from hub_tools.jobs.acknowledgement import follow
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal, Standing
from hub_tools.jobs.outcomes import DeviceState, Outcome, Tally
from hub_tools.jobs.paths import Path
from hub_tools.jobs.population import DeviceRow, id_conditions, read_devices
from hub_tools.jobs.progress import JobProgress, JobReport
from hub_tools.jobs.runner import GONE, HOLDS, SECTION_VERSION, Noted, Remaining, carry_on
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing
from hub_tools.jobs.twins import read_twins
from hub_tools.service import HubService

__all__ = ["FAILED_STATES", "IN_DOUBT", "never_written", "noted_versions", "resume_job", "rows_of"]

IN_DOUBT = "it was cut off here: it may or may not have been done"
FAILED_STATES = frozenset({DeviceState.FAILED, DeviceState.REFUSED, DeviceState.TIMED_OUT})


def never_written(journal: Journal) -> bool:
    """Whether the job was cut off while it read the devices: then it is run afresh, and nothing is repeated."""
    pending = {DeviceState.PENDING, DeviceState.SKIPPED}
    return all(standing.state in pending for standing in journal.standings().values())


async def resume_job(
    service: HubService,
    journal: Journal,
    path: Path,
    *,
    retry: bool = False,
    capacity: Capacity | None = None,
    timeout_s: float = 60.0,
    plain: bool = False,
    on_progress: Callable[[JobProgress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
    timing: Timing | None = None,
) -> JobReport:
    """Finishes the journal's job; with `retry` devices that failed, refused or stayed silent get their change again,
    but for those that have acknowledged it since.

    Raises what `runner.run_job` raises once it writes.
    """
    journal.note("retry" if retry else "resume")
    journal.sync()
    timing = timing or Timing()
    if retry and journal.head.spec.awaits:
        await _hear_the_late(service, journal, plain=plain, capacity=capacity, timing=timing)
    remaining = await _remaining(service, journal, retry=retry, capacity=capacity, timing=timing)
    return await carry_on(
        service,
        journal.head.spec,
        path,
        remaining,
        journal=journal,
        capacity=capacity,
        timeout_s=timeout_s,
        plain=plain,
        on_progress=on_progress,
        stop=stop,
        timing=timing,
    )


async def _hear_the_late(
    service: HubService, journal: Journal, *, plain: bool, capacity: Capacity | None, timing: Timing
) -> None:
    """Note the devices that said no, or nothing in time, and have said yes since."""
    spec, unheard = journal.head.spec, (DeviceState.REFUSED, DeviceState.TIMED_OUT)
    names = {name for name, standing in journal.standings().items() if standing.state in unheard}
    pace, versions = query_pace(capacity, timing), noted_versions(journal, names)
    async for outcomes in follow(service, spec, versions, timeout_s=0.0, plain=plain, timing=timing, pace=pace):
        for outcome in outcomes:
            if outcome.state is DeviceState.ACKNOWLEDGED:
                journal.outcome(outcome.device_id, outcome.state)
    journal.sync()


async def _remaining(
    service: HubService, journal: Journal, *, retry: bool, capacity: Capacity | None, timing: Timing
) -> Remaining:
    spec, known = journal.head.spec, journal.standings()
    again = [name for name, standing in known.items() if _open(standing, retry=retry)]
    rows = {row.device_id: row async for row in rows_of(service, spec, again)}
    if spec.kind == "twin":
        doubtful = [name for name, standing in known.items() if standing.state is DeviceState.SCHEDULED]
        rows |= await read_twins(service, spec, doubtful, capacity=capacity, timing=timing)
    tally, versions = Tally(), {}
    to_write: dict[str, Noted] = {}
    for name, standing in known.items():
        state, cause = standing.state, standing.cause
        if name in rows:
            state, cause = _now(spec, standing, rows[name], retry=retry)
        elif _open(standing, retry=retry):
            state, cause = DeviceState.FAILED, GONE
        if state is not standing.state:
            journal.outcome(name, state, cause)
        tally.add(Outcome(device_id=name, state=state, cause=cause))
        if state is DeviceState.PENDING:
            to_write[name] = _noted(rows.get(name))
        if state in (DeviceState.PENDING, DeviceState.WRITTEN) and name in rows and rows[name].connected:
            versions[name] = rows[name].version
    if spec.kind == "twin":
        versions |= noted_versions(journal, {name for name in versions if known[name].state is not DeviceState.PENDING})
    if spec.kind == "twin":
        _note_again(journal, {name: rows[name] for name in to_write if name in rows})
    journal.sync()
    return Remaining(matched=len(known), tally=tally, to_write=to_write, versions=versions)


def _note_again(journal: Journal, rows: Mapping[str, DeviceRow]) -> None:
    """Note devices before they are written to after all, or again: a later version, and what they hold by now; where
    that is the change itself, what they had before it.

    Else an undo would take the job's own later write for somebody else's, or put back what was long gone.
    """
    for before in [before for before in journal.befores() if before.device_id in rows]:
        row = rows[before.device_id]
        previous, versions = (before.previous, before.versions) if row.holds else (row.previous, row.versions)
        journal.before(before.device_id, previous, {**versions, SECTION_VERSION: row.version})


def noted_versions(journal: Journal, names: set[str]) -> dict[str, int]:
    """The versions of the desired sections from before the write, of devices that had been written to already."""
    return {
        before.device_id: int(before.versions.get(SECTION_VERSION) or 0)
        for before in journal.befores()
        if before.device_id in names
    }


def _open(standing: Standing, *, retry: bool) -> bool:
    """Whether there is something left to do for a device."""
    if standing.undone:
        return False
    waiting = (DeviceState.PENDING, DeviceState.SCHEDULED, DeviceState.WRITTEN)
    return standing.state in waiting or (retry and standing.state in FAILED_STATES)


def _now(spec: JobSpec, standing: Standing, row: DeviceRow, *, retry: bool) -> tuple[DeviceState, str]:
    """Where a device stands once the hub was asked."""
    if standing.state is DeviceState.SCHEDULED:
        if spec.kind != "twin":
            return DeviceState.FAILED, IN_DOUBT
        return (DeviceState.WRITTEN if row.holds else DeviceState.PENDING), ""
    if retry and standing.state in FAILED_STATES:
        return DeviceState.PENDING, ""
    if standing.state is DeviceState.PENDING and spec.kind == "twin" and row.holds:
        return DeviceState.SKIPPED, HOLDS
    return standing.state, standing.cause


def _noted(row: DeviceRow | None) -> Noted:
    """For the write that is to come: whatever is there now where that is the job's own value, or no twin."""
    if row is None or row.holds:
        return Noted(etag="", version=0)
    return Noted.of(row)


async def rows_of(service: HubService, spec: JobSpec, devices: Sequence[str]) -> AsyncIterator[DeviceRow]:
    """What the hub holds now of these devices."""
    for condition, _ in id_conditions(devices):
        async for page in read_devices(service, spec, condition):
            for row in page.rows:
                yield row
