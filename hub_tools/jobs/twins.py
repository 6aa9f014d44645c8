"""What twins themselves hold, which unlike the index that answers queries does not lag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from hub_tools.jobs.direct import AGAIN_S, AT_ONCE, THROTTLED, in_parallel
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.population import Columns, DeviceRow
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.timing import Pace, Timing
from hub_tools.service import HubService, HubUnreachableError
from iot_core.errors import HubError
from iot_core.identity import Identity

__all__ = ["CHECKED_MOST", "Holders", "read_twins"]

CHECKED_MOST = 200
"""Devices of a job that hold the value by the index and are read one by one: more would cost as much as the job."""

NOT_FOUND = 404
T = TypeVar("T")


async def read_twins(
    service: HubService, spec: JobSpec, devices: Sequence[str], *, capacity: Capacity | None, timing: Timing
) -> dict[str, DeviceRow]:
    """What the twins of these devices hold now, without those that are gone; raises what the service raises."""
    pace = Pace(capacity.rate("twin reads") if capacity else None, timing)
    columns = Columns(spec)

    async def one(device_id: str) -> DeviceRow | None:
        await pace.turn()
        try:
            twin = await _again(lambda: service.get_twin(Identity(device_id)), pace, timing)
        except HubError as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return columns.read_twin(twin)

    return {row.device_id: row async for row in in_parallel(devices, one, AT_ONCE) if row is not None}


class Holders:
    """Makes sure of devices that hold the value by the index of queries, which lags: the first `CHECKED_MOST` of a job
    are read by themselves. Else a value that was changed a moment ago would count as the job's.
    """

    def __init__(self, service: HubService, spec: JobSpec, *, capacity: Capacity | None, timing: Timing) -> None:
        self._service = service
        self._spec = spec
        self._capacity = capacity
        self._timing = timing
        self._left = CHECKED_MOST

    async def checked(self, rows: Sequence[DeviceRow]) -> list[DeviceRow]:
        """The rows, where they were checked those of the twins; without devices that turn out not to match."""
        doubtful = [row.device_id for row in rows if row.holds][: self._left]
        self._left -= len(doubtful)
        twins = await read_twins(self._service, self._spec, doubtful, capacity=self._capacity, timing=self._timing)
        latest = [twins.get(row.device_id, row) for row in rows]
        return [row for row in latest if row.matches]


async def _again(call: Callable[[], Awaitable[T]], pace: Pace, timing: Timing) -> T:
    """A call that is made again where the hub throttles or was not there, a few times."""
    for pause_s in AGAIN_S:
        try:
            return await call()
        except HubError as error:
            if error.status != THROTTLED:
                raise
            pace.refused()
        except HubUnreachableError:
            pass
        await timing.sleep(pause_s)
    return await call()
