"""What twins themselves hold, which unlike the index that answers queries does not lag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hub_tools.jobs.direct import AGAIN_S, AT_ONCE, THROTTLED, in_parallel
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.population import Columns, DeviceRow
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.timing import Pace, Timing
from hub_tools.service import HubService, HubUnreachableError
from iot_core.errors import HubError
from iot_core.identity import Identity

__all__ = ["read_twins"]

NOT_FOUND = 404
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ready:
    """A twin as it was read."""

    row: DeviceRow
    etag: str


async def read_twins(
    service: HubService, spec: JobSpec, devices: Sequence[str], *, capacity: Capacity | None, timing: Timing
) -> dict[str, DeviceRow]:
    """What the twins of these devices hold now, without those that are gone; raises what the service raises."""
    pace = Pace(capacity.rate("twin reads") if capacity else None, timing)
    return {name: ready.row for name, ready in (await _read_all(service, spec, devices, pace, timing)).items()}


async def _read_all(
    service: HubService, spec: JobSpec, devices: Sequence[str], pace: Pace, timing: Timing
) -> dict[str, _Ready]:
    columns = Columns(spec)

    async def one(device_id: str) -> _Ready | None:
        await pace.turn()
        try:
            return await _again(lambda: _read(service, columns, device_id), pace, timing)
        except HubError as error:
            if error.status != NOT_FOUND:
                raise
            return None

    found = [ready async for ready in in_parallel(devices, one, AT_ONCE) if ready is not None]
    return {ready.row.device_id: ready for ready in found}


async def _read(service: HubService, columns: Columns, device_id: str) -> _Ready:
    twin = await service.get_twin(Identity(device_id))
    return _Ready(row=columns.read_twin(twin), etag=str(twin["etag"]))


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
