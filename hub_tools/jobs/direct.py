"""One call for each device, or for a hundred: at the throttle's pace, a bounded number at a time, again on 429."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import MOVED, DeviceState, Outcome
from hub_tools.jobs.timing import Pace, Timing
from hub_tools.service import HubService, HubUnreachableError, Json
from iot_core.errors import HubError
from iot_core.limits import BULK_DEVICES_MAX

__all__ = ["AGAIN_S", "AT_ONCE", "PRECONDITION_FAILED", "BulkPath", "Call", "DirectPath", "cause_of"]

AT_ONCE = 24
"""Calls in flight: enough to reach 250 a second at 100 ms each."""
BULK_AT_ONCE = 4
AGAIN_S = (5.0, 20.0, 60.0)
"""Pauses before a call is made again that was throttled or not answered, beyond what the service tries itself."""
PRECONDITION_FAILED = 412
THROTTLED = 429
Call = Callable[[str, str], Awaitable[Outcome]]
"""What is done for one device, given its id and the ETag of its noted twin."""
T = TypeVar("T")
R = TypeVar("R")

_PRECONDITION_FAILED = ("PreconditionFailed", 412001, "412001")
"""How an error of the bulk call names a wrong ETag: documented as a name, some versions give the number."""
_CAUSES = {
    "DeviceNotOnline": "not connected",
    "DeviceNotFound": "no such device",
    "GatewayTimeout": "no answer in time",
}


class DirectPath:
    """A call for each device. One that is not `repeatable` is never made twice where it may have had its effect."""

    takes_all = False

    def __init__(
        self,
        name: str,
        call: Call,
        pace: Pace,
        timing: Timing,
        *,
        repeatable: bool,
        at_once: int = AT_ONCE,
    ) -> None:
        self.name = name
        self._call = call
        self._pace = pace
        self._timing = timing
        self._repeatable = repeatable
        self._at_once = at_once

    async def carry_out(self, devices: Mapping[str, str]) -> AsyncGenerator[Outcome, None]:
        """See `Path`; HubUnreachableError when the hub stays away."""
        async with aclosing(in_parallel(devices.items(), self._one, self._at_once)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def _one(self, device: tuple[str, str]) -> Outcome:
        device_id, etag = device
        await self._pace.turn()
        for pause_s in (*AGAIN_S, None):
            try:
                return await self._call(device_id, etag)
            except HubError as error:
                if error.status != THROTTLED or pause_s is None:
                    return Outcome(device_id=device_id, state=DeviceState.FAILED, cause=cause_of(error))
                self._pace.refused()
            except HubUnreachableError:
                if not self._repeatable:
                    cause = "the connection broke: it may or may not have been done"
                    return Outcome(device_id=device_id, state=DeviceState.FAILED, cause=cause)
                if pause_s is None:
                    raise
            await self._timing.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")


class BulkPath:
    """The registry's bulk call: merges tags and desired properties of 100 devices, each with its noted ETag."""

    name = "bulk"
    takes_all = False

    def __init__(self, service: HubService, spec: JobSpec, pace: Pace, timing: Timing) -> None:
        self._service = service
        self._patch = spec.patch()
        self._pace = pace
        self._timing = timing

    async def carry_out(self, devices: Mapping[str, str]) -> AsyncGenerator[Outcome, None]:
        """See `Path`; HubError for a call that the hub refuses as a whole."""
        noted = list(devices.items())
        chunks = [noted[start : start + BULK_DEVICES_MAX] for start in range(0, len(noted), BULK_DEVICES_MAX)]
        async with aclosing(in_parallel(chunks, self._one, BULK_AT_ONCE)) as results:
            async for outcomes in results:
                for outcome in outcomes:
                    yield outcome

    async def _one(self, chunk: Sequence[tuple[str, str]]) -> list[Outcome]:
        for _ in chunk:
            await self._pace.turn()
        errors = await self._change([{"id": name, **_mode(etag), **self._patch} for name, etag in chunk])
        return [_bulk_outcome(name, errors.get(name)) for name, _ in chunk]

    async def _change(self, items: list[Json]) -> dict[str, Json]:
        """Errors by device."""
        for pause_s in (*AGAIN_S, None):
            try:
                result = await self._service.change_devices(items)
                return {str(error.get("deviceId")): error for error in result.errors}
            except (HubError, HubUnreachableError) as error:
                if pause_s is None or (isinstance(error, HubError) and error.status != THROTTLED):
                    raise
                self._pace.refused()
                await self._timing.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")


def cause_of(error: HubError) -> str:
    """A refusal without what differs from device to device, so that the same ones can be counted together."""
    return _CAUSES.get(error.name, f"{error.name} ({error.code})")


def _mode(etag: str) -> Json:
    return {"importMode": "updateTwinIfMatchETag", "twinETag": etag} if etag else {"importMode": "updateTwin"}


def _bulk_outcome(device_id: str, error: Json | None) -> Outcome:
    if error is None:
        return Outcome(device_id=device_id, state=DeviceState.WRITTEN)
    if error.get("errorCode") in _PRECONDITION_FAILED:
        return Outcome(device_id=device_id, state=DeviceState.PENDING, cause=MOVED)
    return Outcome(device_id=device_id, state=DeviceState.FAILED, cause=f"{error.get('errorCode', 'not changed')}")


async def in_parallel(items: Iterable[T], work: Callable[[T], Awaitable[R]], at_once: int) -> AsyncGenerator[R, None]:
    """The results of `work` on each item, as they come; what is under way ends when the reader goes away."""
    waiting = iter(items)
    results: asyncio.Queue[tuple[R] | None] = asyncio.Queue()

    async def worker() -> None:
        for item in waiting:
            results.put_nowait((await work(item),))

    async def work_on_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(worker())
        finally:
            results.put_nowait(None)

    task = asyncio.create_task(work_on_all())
    try:
        while (result := await results.get()) is not None:
            yield result[0]
        await _finished(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _finished(task: asyncio.Task[None]) -> None:
    """The result of a task of many workers, the first error by itself."""
    try:
        await task
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
