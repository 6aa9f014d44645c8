"""Scheduled jobs: one change or one method call on many devices (IoT Hub developer guide, "Schedule jobs on multiple
devices").

A job moves only as TRANSITIONS says; each move is committed before anything follows from it. A job that is waiting or
running when the hub stops goes on when it starts again: twin updates take effect once on each device, method calls that
were under way are made again.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from iot_core import limits
from iot_core.clock import from_iso, iso
from iot_core.errors import HubError, InputError, TwinError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.twin import validate_section
from local_hub.changes import Change, Core
from local_hub.event_shapes import EventShapes
from local_hub.jobs import rows as job_rows
from local_hub.jobs.rows import WORK_KEYS, Job
from local_hub.jobs.runner import JobRunner
from local_hub.methods import parse_call

__all__ = ["TRANSITIONS", "Jobs"]

TRANSITIONS = {
    "queued": ("running", "cancelled", "failed"),
    "scheduled": ("running", "cancelled", "failed"),
    "running": ("completed", "failed"),
    "completed": (),
    "failed": (),
    "cancelled": (),
}
"""State → the states it may become. ``queued`` starts now, ``scheduled`` waits for its startTime."""

_JOB_ID = re.compile(r"[a-z0-9\-']{1,64}")
# What the service's own SDK for Node sends when the caller names none.
_MAX_EXECUTION_DEFAULT_S = 3600


class Jobs:
    """Creates, tells of and cancels jobs; the runner does them. ``slots`` None: any number may wait or run at once."""

    def __init__(self, core: Core, shapes: EventShapes, runner: JobRunner, slots: int | None) -> None:
        self._core = core
        self._shapes = shapes
        self._runner = runner
        self._slots = slots

    async def start(self) -> None:
        """Forget jobs past their history of 30 days and go on with those that had not ended."""
        horizon = self._core.clock.now() - limits.JOB_HISTORY_S
        await self._core.store.write(lambda connection: job_rows.forget_before(connection, horizon))
        for job in self._core.store.read(lambda connection: job_rows.select(connection, None, None)):
            if job.status in job_rows.ACTIVE:
                self._runner.run(job)

    async def create(self, job_id: str, body: JsonObject) -> JsonObject:
        """Queue a job and return it.

        HubError ArgumentInvalid, JobAlreadyExists, ThrottlingMaxActiveJobCountExceeded when every slot of the tier is
        taken, by jobs that wait for their time too. A bad queryCondition is found when the job starts, which then
        fails.
        """
        job = _parse(job_id, body, self._core.clock.now())

        def work(connection: sqlite3.Connection) -> Change[None]:
            if job_rows.find(connection, job_id):
                raise hub_error("JobAlreadyExists", f"A job with ID '{job_id}' already exists.")
            if self._slots is not None and job_rows.count_active(connection) >= self._slots:
                text = f"All {self._slots} job slots are taken; wait for a job to end or cancel one."
                raise hub_error("ThrottlingMaxActiveJobCountExceeded", text)
            job_rows.insert(connection, job)
            return Change(result=None, events=(self._shapes.job(job.document(), job.created),))

        await self._core.commit(work)
        self._runner.run(job)
        return {**job.document(), "status": "queued"}

    def get(self, job_id: str) -> JsonObject:
        """The job; for an unknown id ``{"jobId", "type": "unknown", "status": "unknown"}``, as the service answers."""
        job = self._core.store.read(lambda connection: job_rows.find(connection, job_id))
        if job is None:
            return {"jobId": job_id, "type": "unknown", "status": "unknown"}
        return job.document(self._runner.running_on(job_id))

    def query(self, job_type: str | None, job_status: str | None) -> list[JsonObject]:
        """The jobs of that type and status (None: any), the oldest first."""
        jobs = self._core.store.read(lambda connection: job_rows.select(connection, job_type, job_status))
        return [job.document(self._runner.running_on(job.job_id)) for job in jobs]

    async def cancel(self, job_id: str) -> JsonObject:
        """Cancel a job that has not started; HubError JobNotFound, OperationNotAllowedInCurrentState."""
        now = self._core.clock.now()

        def work(connection: sqlite3.Connection) -> Change[Job]:
            job = job_rows.find(connection, job_id)
            if job is None:
                raise hub_error("JobNotFound", f"Job {job_id} is not known.")
            if "cancelled" not in TRANSITIONS[job.status]:
                text = f"Job {job_id} is {job.status} and can no longer be cancelled."
                raise hub_error("OperationNotAllowedInCurrentState", text)
            job_rows.set_status(connection, job_id, "cancelled", ended=now)
            after = job_rows.find(connection, job_id) or job
            return Change(result=after, events=(self._shapes.job(after.document(), now),))

        job = await self._core.commit(work)
        await self._runner.drop(job_id)
        return job.document()


def _parse(job_id: str, body: JsonObject, now: float) -> Job:
    if not _JOB_ID.fullmatch(job_id):
        raise _invalid("The jobId may have 1 to 64 lower-case letters, digits, - and '.")
    if body.get("jobId", job_id) not in (job_id, None):
        raise _invalid("jobId in the body is not that of the path.")
    kind = body.get("type")
    if not isinstance(kind, str) or kind not in WORK_KEYS:
        raise _invalid(f"type must be one of {', '.join(WORK_KEYS)}.")
    start = _start(body.get("startTime"), now)
    return Job(
        job_id=job_id,
        type=kind,
        status="scheduled" if start > now else "queued",
        query_condition=_condition(body),
        work=_work(kind, body.get(WORK_KEYS[kind])),
        created=now,
        start=max(start, now),
        max_execution_s=_max_execution(body.get("maxExecutionTimeInSeconds")),
    )


def _condition(body: JsonObject) -> str:
    condition = body.get("queryCondition")
    if not isinstance(condition, str) or not condition.strip():
        raise _invalid("queryCondition is needed; * means every device.")
    if len(condition) > limits.QUERY_CHARACTERS:
        raise _invalid(f"queryCondition is longer than {limits.QUERY_CHARACTERS} characters.")
    return condition


def _start(value: Any, now: float) -> float:
    if value in (None, ""):
        return now
    try:
        start = from_iso(value if isinstance(value, str) else "")
    except InputError as error:
        raise _invalid(f"startTime: {error}.") from error
    if start > now + limits.JOB_START_AHEAD_S:
        raise _invalid(f"startTime is more than {limits.JOB_START_AHEAD_S // 3600} hours after {iso(now)}.")
    return start


def _max_execution(value: Any) -> int:
    if value is None:
        return _MAX_EXECUTION_DEFAULT_S
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _invalid("maxExecutionTimeInSeconds must be a whole number of seconds.")
    return value or _MAX_EXECUTION_DEFAULT_S


def _work(kind: str, value: Any) -> JsonObject:
    name = WORK_KEYS[kind]
    if not isinstance(value, dict):
        raise _invalid(f"{name} is needed for a job of type {kind}.")
    if kind == "scheduleDeviceMethod":
        parse_call(value)
    else:
        _check_update(value)
    return value


def _check_update(update: JsonObject) -> None:
    if update.get("etag") != "*":
        text = (
            "Missing or invalid etag for job type ScheduleUpdateTwin. ScheduleUpdateTwin job type is a force update, "
            "which only accepts '*' as the Etag."
        )
        raise _invalid(text)
    properties = update.get("properties") or {}
    if not isinstance(properties, dict):
        raise _invalid("properties must be an object.")
    try:
        validate_section("tags", _object(update.get("tags"), "tags"))
        validate_section("desired", _object(properties.get("desired"), "properties.desired"))
    except TwinError as error:
        raise _invalid(f"{error}.") from error


def _object(value: Any, name: str) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(f"{name} must be an object.")
    return value


def _invalid(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)
