"""The ways on which a change reaches devices: the hub's job service, one call a device, or the registry's bulk call.

None of them writes to a device that it was not given: the job service gets its devices by id, not by the job's
condition, so that a device that comes to match later has no change without a journal entry; `job_service` says when a
tag may take the place of the ids. Twin writes of the other
two carry the ETag of what was noted, so that a journal is right even where the index of queries lagged; the job service
takes none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Protocol

from hub_tools.jobs.direct import PRECONDITION_FAILED, BulkPath, Call, DirectPath
from hub_tools.jobs.forecast import BULK, DIRECT, JOB_SERVICE
from hub_tools.jobs.job import JobKind, JobSpec
from hub_tools.jobs.job_service import JobServicePath
from hub_tools.jobs.outcomes import MOVED, DeviceState, Outcome
from hub_tools.jobs.throttles import METHOD_METER_BYTES, Capacity, Throttle
from hub_tools.jobs.timing import Pace, Timing
from hub_tools.service import HubService
from iot_core.errors import HubError, InputError
from iot_core.identity import Identity

__all__ = ["Path", "SendMessage", "make_path"]

SendMessage = Callable[[str, str], Awaitable[None]]
"""Sends a cloud-to-device message: device id and body."""


class Path(Protocol):
    """Carries a job out on devices whose previous values have been noted."""

    @property
    def name(self) -> str:
        """How the forecast and `--path` call it."""
        ...

    @property
    def takes_all(self) -> bool:
        """Whether all devices of a job are to be given at once, however many, and not some at a time."""
        ...

    def carry_out(self, devices: Mapping[str, str]) -> AsyncGenerator[Outcome, None]:
        """One outcome for each device (id → ETag of its noted twin, "" to write whatever it holds), in whatever order
        they come: written, acknowledged (a method's answer), refused, failed, or pending where its turn did not come
        or, with `outcomes.MOVED`, where its twin is another one by now.

        Nothing is written to a device that is not named. An exception leaves the devices without an outcome in doubt.
        """
        ...


def make_path(
    name: str,
    service: HubService,
    spec: JobSpec,
    *,
    capacity: Capacity | None = None,
    most_per_second: float | None = None,
    send: SendMessage | None = None,
    timing: Timing | None = None,
) -> Path:
    """The path of that name; InputError when the job cannot take it.

    `most_per_second` is a limit beside the throttles; `send` is needed for messages only.
    """
    timing = timing or Timing()
    if name == JOB_SERVICE and spec.kind != "c2d":
        return JobServicePath(service, spec, capacity, timing)
    if name == BULK and spec.kind == "twin":
        return BulkPath(service, spec, _pace(capacity, "registry operations", most_per_second, timing), timing)
    if name == DIRECT:
        pace = _pace(capacity, _THROTTLES[spec.kind], most_per_second, timing)
        return DirectPath(DIRECT, _call(service, spec, send), pace, timing, repeatable=spec.kind == "twin")
    raise InputError(f"--path {name}: a job of kind {spec.kind} cannot go by it")


_THROTTLES: Mapping[JobKind, Throttle] = {
    "twin": "twin updates",
    "method": "method bytes",
    "c2d": "cloud-to-device sends",
}


def _pace(capacity: Capacity | None, throttle: Throttle, most: float | None, timing: Timing) -> Pace:
    rates = [] if most is None else [most]
    if capacity is not None:
        meter = METHOD_METER_BYTES if throttle == "method bytes" else 1
        rates.append(capacity.rate(throttle) / meter)
    return Pace(min(rates, default=None), timing)


def _call(service: HubService, spec: JobSpec, send: SendMessage | None) -> Call:
    async def write(device_id: str, etag: str) -> Outcome:
        try:
            await service.patch_twin(Identity(device_id), spec.patch(), etag=etag or None)
        except HubError as error:
            if error.status != PRECONDITION_FAILED:
                raise
            return Outcome(device_id=device_id, state=DeviceState.PENDING, cause=MOVED)
        return Outcome(device_id=device_id, state=DeviceState.WRITTEN)

    async def invoke(device_id: str, etag: str) -> Outcome:
        del etag
        assert spec.method is not None
        answer = await service.invoke_method(
            Identity(device_id),
            spec.method.name,
            spec.method.payload,
            response_timeout_s=spec.method.response_timeout_s,
        )
        return method_outcome(device_id, answer.status)

    async def message(device_id: str, etag: str) -> Outcome:
        del etag
        if send is None:
            raise InputError("no way to send cloud-to-device messages was given to the job")
        await send(device_id, spec.c2d or "")
        return Outcome(device_id=device_id, state=DeviceState.WRITTEN)

    return {"twin": write, "method": invoke, "c2d": message}[spec.kind]


def method_outcome(device_id: str, status: int) -> Outcome:
    """A device's answer to a method: from 400 on it refused."""
    if status < 400:
        return Outcome(device_id=device_id, state=DeviceState.ACKNOWLEDGED)
    return Outcome(device_id=device_id, state=DeviceState.REFUSED, cause=f"answered {status}")
