"""The method calls of a job: some under way at a time, each one's outcome kept as soon as it is known."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.changes import Core
from local_hub.controls.faults import FaultKind, Faults
from local_hub.controls.throttles import Operation, throttled
from local_hub.jobs import rows as job_rows
from local_hub.jobs.pace import JobPace
from local_hub.jobs.rows import Job, Outcome
from local_hub.methods import Methods
from local_hub.timing import POLL_S

__all__ = ["MethodCalls", "check_throttled", "error_of"]

# Method calls of one job under way at a time.
CALLS_AT_ONCE = 100


class MethodCalls:
    """Works through the targets of one job."""

    def __init__(self, core: Core, methods: Methods, pace: JobPace, job: Job, faults: Faults) -> None:
        self._core = core
        self._methods = methods
        self._pace = pace
        self._job = job
        self._faults = faults
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """How many devices are being called."""
        return len(self._calls)

    async def run(self, deadline: float) -> bool:
        """Call every target that is left; False when the hub's clock passes ``deadline`` before the last answers."""
        await self._core.store.write(lambda connection: job_rows.start_again(connection, self._job.job_id))
        try:
            while self._calls or job_rows.has_waiting(self._core.store, self._job.job_id):
                if self._core.clock.now() > deadline:
                    return False
                await self._call_more(deadline)
                await self._wait()
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
        return True

    async def _call_more(self, deadline: float) -> None:
        free = CALLS_AT_ONCE - len(self._calls)
        if not free or not job_rows.has_waiting(self._core.store, self._job.job_id):
            return
        patience = 0.0 if self._calls else deadline - self._core.clock.now()
        room = await self._pace.room(free, patience)
        now = self._core.clock.now()

        def begin(connection: sqlite3.Connection) -> list[Identity]:
            targets = job_rows.waiting(connection, self._job.job_id, room)
            job_rows.start_devices(connection, self._job.job_id, targets, now)
            return targets

        targets = await self._core.store.write(begin)
        self._pace.spend(len(targets))
        self._calls |= {asyncio.create_task(self._call(target, now)) for target in targets}

    async def _wait(self) -> None:
        """Until a call has ended, or a moment: the deadline is looked at again then."""
        if self._calls:
            done, self._calls = await asyncio.wait(self._calls, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*done)

    async def _call(self, target: Identity, started: float) -> None:
        outcome = await self._outcome(target, self._job.work)
        ended = self._core.clock.now()
        finish = partial(
            job_rows.finish_devices, job_id=self._job.job_id, outcomes=[outcome], started=started, now=ended
        )
        await self._core.store.write(finish)

    async def _outcome(self, target: Identity, work: JsonObject) -> Outcome:
        try:
            check_throttled(self._faults, target)
            answer = await self._methods.invoke(target, work)
        except HubError as error:
            return Outcome(identity=target, error=error_of(error))
        return Outcome(identity=target, outcome={"deviceMethodResponse": answer})


def check_throttled(faults: Faults, target: Identity) -> None:
    """HubError ThrottlingBacklogTimeout where a fault has a device's part of a job fail so."""
    if faults.active and faults.strikes(FaultKind.THROTTLE, target.device_id):
        raise throttled(Operation.JOB)


def error_of(error: HubError) -> JsonObject:
    """An error as a row of devices.jobs carries it."""
    return {"code": str(error.code), "description": error.message}
