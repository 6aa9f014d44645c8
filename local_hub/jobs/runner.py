"""Carries jobs out: finds a job's targets when its time has come, then works through them chunk by chunk.

Each chunk is one write: the devices' twins and the note that they are done are on disk together, so a job that is taken
up again after a crash changes no twin twice, and other writes get their turn between chunks.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress
from functools import partial

from iot_core.errors import EdgeyardError, HubError, QueryError
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.changes import Change, Core
from local_hub.controls.faults import Faults
from local_hub.event_shapes import EventShapes
from local_hub.jobs import rows as job_rows
from local_hub.jobs.calls import MethodCalls, check_throttled, error_of
from local_hub.jobs.pace import JobPace
from local_hub.jobs.rows import Job, Outcome
from local_hub.methods import Methods
from local_hub.queries.queries import Queries
from local_hub.rows import Record, load_records, update_twins
from local_hub.timing import until_time
from local_hub.twins import changes as twin_changes
from local_hub.twins.changes import TwinChange
from local_hub.twins.twins import Twins, not_found

__all__ = ["JobRunner"]

# Twins in one transaction: some 25 ms, which is what other writes may have to wait for.
TWINS_PER_WRITE = 100
# Rows of pending devices added in one transaction.
TARGETS_PER_WRITE = 5_000

_log = logging.getLogger(__name__)


class JobRunner:
    """One task per job that has not ended."""

    def __init__(
        self,
        core: Core,
        shapes: EventShapes,
        twins: Twins,
        methods: Methods,
        queries: Queries,
        pace: JobPace,
        faults: Faults,
    ) -> None:
        self._core = core
        self._shapes = shapes
        self._twins = twins
        self._methods = methods
        self._queries = queries
        self._pace = pace
        self._faults = faults
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[str, MethodCalls] = {}

    def run(self, job: Job) -> None:
        """Take a job up, from wherever it stands."""
        task = asyncio.create_task(self._run(job), name=f"job {job.job_id}")
        self._tasks[job.job_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(job.job_id, None))

    def running_on(self, job_id: str) -> int:
        """On how many devices the job is under way at this moment."""
        calls = self._calls.get(job_id)
        return calls.under_way if calls else 0

    async def drop(self, job_id: str) -> None:
        """Let go of a job whose end is already on disk."""
        task = self._tasks.get(job_id)
        if task is not None:
            await _cancelled(task)

    async def stop(self) -> None:
        """Let go of every job; they go on at the next start."""
        for task in list(self._tasks.values()):
            await _cancelled(task)

    async def _run(self, job: Job) -> None:
        try:
            await self._drive(job)
        except EdgeyardError:
            _log.exception("job %s stands still until the hub is started again", job.job_id)
        finally:
            self._calls.pop(job.job_id, None)

    async def _drive(self, job: Job) -> None:
        if job.status != "running":
            await until_time(self._core.clock, job.start)
            if not await self._begin(job):
                return
        if not job.targeted:
            try:
                await self._find_targets(job)
            except QueryError as error:
                await self._end(job, "failed", f"queryCondition: {error}")
                return
        if await self._work(job, job.start + job.max_execution_s):
            await self._end(job, "completed", None)
        else:
            await self._end(job, "failed", f"maxExecutionTimeInSeconds ({job.max_execution_s}) is over")

    async def _begin(self, job: Job) -> bool:
        """Move the job to running; False when it was cancelled meanwhile."""

        def work(connection: sqlite3.Connection) -> Change[bool]:
            current = job_rows.find(connection, job.job_id)
            if current is None or current.status not in ("queued", "scheduled"):
                return Change(result=False)
            return self._moved(connection, job, "running", None)

        return await self._core.commit(work)

    async def _find_targets(self, job: Job) -> None:
        targets = await self._queries.targets(job.query_condition)
        now = self._core.clock.now()
        for start in range(0, len(targets), TARGETS_PER_WRITE):
            part = targets[start : start + TARGETS_PER_WRITE]
            await self._core.store.write(partial(job_rows.add_targets, job_id=job.job_id, targets=part, now=now))
        await self._core.store.write(lambda connection: job_rows.set_targeted(connection, job.job_id))

    async def _work(self, job: Job, deadline: float) -> bool:
        """Work through the targets; False when the hub's clock passes ``deadline`` before that is done."""
        if job.type == "scheduleDeviceMethod":
            self._calls[job.job_id] = MethodCalls(self._core, self._methods, self._pace, job, self._faults)
            return await self._calls[job.job_id].run(deadline)
        while job_rows.has_waiting(self._core.store, job.job_id):
            if (left := deadline - self._core.clock.now()) < 0:
                return False
            room = await self._pace.room(TWINS_PER_WRITE, left)
            self._pace.spend(await self._core.commit(partial(self._update_twins, job=job, count=room)))
        return True

    def _update_twins(self, connection: sqlite3.Connection, job: Job, count: int) -> Change[int]:
        """Change the next twins; the result is how many there were."""
        now = self._core.clock.now()
        outcomes: list[Outcome] = []
        changes: list[TwinChange] = []
        targets = job_rows.waiting(connection, job.job_id, count)
        records = load_records(connection, targets)
        for identity in targets:
            try:
                check_throttled(self._faults, identity)
                changes.append(_twin_change(records.get(identity), identity, job.work, now))
                outcomes.append(Outcome(identity=identity))
            except HubError as error:
                outcomes.append(Outcome(identity=identity, error=error_of(error)))
        update_twins(connection, [change.record for change in changes])
        job_rows.finish_devices(connection, job.job_id, outcomes, now, now)
        follow = [self._twins.announced(change, "updateTwin") for change in changes]
        return Change(
            result=len(outcomes),
            pushes=tuple(push for change in follow for push in change.pushes),
            events=tuple(event for change in follow for event in change.events),
        )

    async def _end(self, job: Job, status: str, reason: str | None) -> None:
        def work(connection: sqlite3.Connection) -> Change[bool]:
            job_rows.cancel_waiting(connection, job.job_id, self._core.clock.now())
            return self._moved(connection, job, status, reason)

        await self._core.commit(work)

    def _moved(self, connection: sqlite3.Connection, job: Job, status: str, reason: str | None) -> Change[bool]:
        now = self._core.clock.now()
        ended = None if status == "running" else now
        job_rows.set_status(connection, job.job_id, status, ended=ended, reason=reason)
        after = job_rows.find(connection, job.job_id) or job
        return Change(result=True, events=(self._shapes.job(after.document(), now),))


def _twin_change(record: Record | None, identity: Identity, work: JsonObject, now: float) -> TwinChange:
    if record is None:
        raise not_found(identity)
    return twin_changes.patched(record, work, None, now)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
