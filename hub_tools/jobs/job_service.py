"""The hub's own job service: jobs over devices named by id, as many at a time as the tier runs, each followed to its
end; or one job over devices that carry a tag.

A job's condition is looked at by the hub when it begins, and a device that had come to match by then would have the
change without an entry in the journal. So a tag takes the place of the ids only where the devices that carry it,
whether they match the job's condition or not, are exactly those that have been read and noted: no change to any other
value of any twin can then bring in another device. Where they differ (some hold the value already, some carry the tag
from elsewhere, the index of queries lags) the same devices are named by id. What is left is somebody who sets that very
tag on another device while the job begins: the hub's own rows show it, and it is an error that names the devices.

Source: IoT Hub developer guide, "Schedule jobs on multiple devices".
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from copy import copy
from typing import Any

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState, Outcome
from hub_tools.jobs.population import PAGE, id_conditions
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.timing import Timing, pauses
from hub_tools.service import HubService, HubUnreachableError, Json
from iot_core.errors import EdgeyardError, HubError

__all__ = ["JobFailedError", "JobServicePath", "hub_job_body", "part_of"]

FIRST_POLL_S, FIRST_SLOT_POLL_S = 0.05, 1.0
ENDED = frozenset({"completed", "failed", "cancelled"})
BUSY = frozenset({"ThrottlingMaxActiveJobCountExceeded", "JobQuotaExceeded", "ThrottlingException"})
"""Refusals that end when another job does."""
JOBS_AT_ONCE = 5
"""On a hub whose tier is not known; one that runs fewer says so, and is asked again."""
MARGIN, START_S = 2.0, 300.0
"""The time that a job may take is twice the forecast, and five minutes in which it gets going."""
SHORTEST_EXECUTION_S, LONGEST_EXECUTION_S = 300, 48 * 3600
UNTHROTTLED_EXECUTION_S = 3600
THROTTLED = 429
SHOWN = 20
_SEPARATOR = "-p"


class JobFailedError(EdgeyardError):
    """The hub ended the job without having carried it out."""


class JobServicePath:
    """Jobs with conditions `deviceId IN [...]`, each as long as a query may be; or one, see `by`."""

    name = "jobs"

    def __init__(self, service: HubService, spec: JobSpec, capacity: Capacity | None, timing: Timing) -> None:
        self._service = service
        self._spec = spec
        self._capacity = capacity
        self._timing = timing
        self._under_way: set[str] = set()
        self._carries = ""

    def by(self, carries: str) -> JobServicePath:
        """The same path for devices of which all meet the condition `carries`, such as `tags.wave = 2`.

        They are one job where no other device meets it. A budget below all of the throttles keeps to jobs by id, since
        the hub runs a job as fast as it may.
        """
        path = copy(self)
        path._under_way, path._carries = set(), carries
        return path

    @property
    def takes_all(self) -> bool:
        """See `Path`."""
        return bool(self._carries) and (self._capacity is None or self._capacity.share == 1)

    async def carry_out(self, devices: Mapping[str, str]) -> AsyncGenerator[Outcome, None]:
        """See `Path`. Raises JobFailedError; when it is left early, jobs that have not started are cancelled."""
        parts = deque([(self._condition, list(devices))] if await self._fits(devices) else id_conditions(devices))
        at_once = self._at_once
        running: set[asyncio.Task[list[Outcome]]] = set()
        try:
            while parts or running:
                while parts and len(running) < at_once:
                    running.add(asyncio.create_task(self._part(*parts.popleft())))
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    for outcome in task.result():
                        yield outcome
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._cancel()

    async def _fits(self, devices: Mapping[str, str]) -> bool:
        """Whether the condition names exactly these devices, and will."""
        if not self.takes_all:
            return False
        text = f"SELECT deviceId FROM devices WHERE {self._carries}"
        return {str(row["deviceId"]) async for row in self._service.query(text, page_size=PAGE)} == devices.keys()

    @property
    def _condition(self) -> str:
        where = self._spec.where
        return self._carries if where.strip() == EVERY_DEVICE else f"{self._carries} AND ({where})"

    @property
    def _at_once(self) -> int:
        if self._capacity is None:
            return JOBS_AT_ONCE
        return self._capacity.concurrent_jobs if self._capacity.share == 1 else 1

    async def _rest(self, devices: int, began: float) -> None:
        """The hub runs a job as fast as it may: a budget is kept by pauses between jobs."""
        if self._capacity is not None and self._capacity.share < 1:
            wanted = devices / self._capacity.rate("job device operations")
            await self._timing.sleep(max(0.0, began + wanted - self._timing.clock.monotonic()))

    async def _part(self, condition: str, devices: list[str]) -> list[Outcome]:
        began = self._timing.clock.monotonic()
        job_id = f"{self._spec.job_id}{_SEPARATOR}{uuid.uuid4().hex[:8]}"
        await self._create(job_id, hub_job_body(self._spec, condition, self._execution_s(len(devices))))
        self._under_way.add(job_id)
        job = await self._ended(job_id)
        self._under_way.discard(job_id)
        outcomes = await self._outcomes(job_id)
        await self._rest(len(devices), began)
        if job["status"] == "failed" and not outcomes:
            reason = job.get("failureReason") or job.get("statusMessage") or "no reason given"
            raise JobFailedError(f"the hub failed its job {job_id}: {reason}")
        if strangers := sorted(outcomes.keys() - set(devices)):
            raise JobFailedError(
                f"the hub's job {job_id} also changed {len(strangers):,} devices that nobody had read: somebody set "
                f"{self._carries} on them as it began. They are {', '.join(strangers[:SHOWN])}"
            )
        missing = f"the hub's job ended as {job['status']} before its turn"
        if self._carries and job["status"] == "completed":
            missing = "did not match when the hub's job began"
        nothing = {device: Outcome(device_id=device, state=DeviceState.PENDING, cause=missing) for device in devices}
        return list((nothing | {device: outcomes[device] for device in devices if device in outcomes}).values())

    async def _create(self, job_id: str, body: Json) -> None:
        """Waits for a free slot for as long as it takes: a job that runs or is scheduled holds one."""
        waits = pauses(FIRST_SLOT_POLL_S)
        while True:
            try:
                await self._service.create_job(job_id, body)
                return
            except HubError as error:
                if error.name == "JobAlreadyExists":
                    return  # Made by an attempt whose answer was lost.
                if error.status != THROTTLED and error.name not in BUSY:
                    raise
            except HubUnreachableError:
                if (await self._look(job_id)).get("status") not in ("unknown", None):
                    return
            await self._timing.sleep(next(waits))

    async def _ended(self, job_id: str) -> Json:
        waits = pauses(FIRST_POLL_S)
        while True:
            await self._timing.sleep(next(waits))
            job = await self._look(job_id)
            if job.get("status") in ENDED:
                return job

    async def _look(self, job_id: str) -> Json:
        """The job, also over a connection that breaks a few times."""
        waits = pauses(FIRST_SLOT_POLL_S)
        for _ in range(5):
            with suppress(HubUnreachableError):
                return await self._service.get_job(job_id)
            await self._timing.sleep(next(waits))
        return await self._service.get_job(job_id)

    async def _outcomes(self, job_id: str) -> dict[str, Outcome]:
        query = f"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '{job_id}'"
        rows = self._service.query(query, page_size=PAGE)
        return {str(row["deviceId"]): _outcome(row) async for row in rows}

    def _execution_s(self, devices: int) -> int:
        if self._capacity is None:
            return UNTHROTTLED_EXECUTION_S
        forecast = devices * self._capacity.concurrent_jobs / self._capacity.rate("job device operations")
        return max(SHORTEST_EXECUTION_S, min(math.ceil(forecast * MARGIN + START_S), LONGEST_EXECUTION_S))

    async def _cancel(self) -> None:
        for job_id in sorted(self._under_way):
            with suppress(HubError, HubUnreachableError):
                await self._service.cancel_job(job_id)
        self._under_way.clear()


def hub_job_body(spec: JobSpec, condition: str, execution_s: int) -> Json:
    """A job as `PUT /jobs/v2/{id}` takes it; the hub accepts only `*` as the twin's ETag."""
    body: Json = {"queryCondition": condition, "maxExecutionTimeInSeconds": execution_s}
    if spec.method is None:
        return {**body, "type": "scheduleUpdateTwin", "updateTwin": {"etag": "*", **spec.patch()}}
    call: dict[str, Any] = {
        "methodName": spec.method.name,
        "payload": spec.method.payload,
        "responseTimeoutInSeconds": spec.method.response_timeout_s,
    }
    return {**body, "type": "scheduleDeviceMethod", "cloudToDeviceMethod": call}


def part_of(hub_job_id: str) -> str:
    """The id of our job that a job of the hub is a part of; its own where it is none."""
    return hub_job_id.rpartition(_SEPARATOR)[0] or hub_job_id


def _outcome(row: Json) -> Outcome:
    device_id, status = str(row["deviceId"]), row.get("status")
    answer = (row.get("outcome") or {}).get("deviceMethodResponse")
    if status == "completed" and isinstance(answer, dict):
        code = int(answer.get("status", 0))
        if code >= 400:
            return Outcome(device_id=device_id, state=DeviceState.REFUSED, cause=f"answered {code}")
        return Outcome(device_id=device_id, state=DeviceState.ACKNOWLEDGED)
    if status == "completed":
        return Outcome(device_id=device_id, state=DeviceState.WRITTEN)
    if status == "failed":
        error = row.get("error") or {}
        cause = str(error.get("code") or error.get("description") or "failed in the hub's job")
        return Outcome(device_id=device_id, state=DeviceState.FAILED, cause=cause)
    return Outcome(device_id=device_id, state=DeviceState.PENDING, cause=f"its turn did not come: {status}")
