"""What bringing a hub's devices to what a file says takes: planned first, so that it can be shown, then carried out.

Carrying it out twice is carrying it out once: what holds already is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hub_tools.concurrency import map_bounded
from hub_tools.devices.bulk import BulkProblem, change_in_bulk
from hub_tools.devices.reading import LineError
from hub_tools.devices.record import DeviceRecord
from hub_tools.service import HubService, Json
from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.twin import merge_patch

__all__ = ["Action", "ImportPlan", "PlannedDevice", "carry_out", "plan_import"]

QUERIED_AT_MOST = 2000
"""Devices that are looked up by their ids; for more, all devices of the hub are read."""
QUERY_BUDGET_CHARACTERS = 7000
"""Room for device ids in one query; the hub takes 8192 characters in all."""
READ_AT_ONCE = 10
TAKEN = "DeviceAlreadyExists"


class Action(StrEnum):
    """What is to be done with a device."""

    CREATE = "create"
    IDENTITY = "change identity"
    TWIN = "change twin"
    BOTH = "change identity and twin"
    NONE = "as it is"


@dataclass(frozen=True, kw_only=True)
class PlannedDevice:
    """A record of the file, what it takes, and the identity that is there now where that is to be replaced."""

    record: DeviceRecord
    action: Action
    identity: Json | None = None

    def items(self) -> Iterator[Json]:
        """The items of bulk calls, at most one of the identity and one of the twin."""
        if self.action is Action.CREATE:
            yield self._created()
        if self.action in (Action.IDENTITY, Action.BOTH):
            yield self._replaced()
        if self.action in (Action.TWIN, Action.BOTH):
            yield {"id": self.record.device_id, "importMode": "updateTwin", **_twin(self.record)}

    def _created(self) -> Json:
        return {
            "id": self.record.device_id,
            "importMode": "create",
            "status": self.record.status or "enabled",
            "capabilities": {"iotEdge": bool(self.record.edge)},
            **_authentication(self.record),
            **_twin(self.record),
        }

    def _replaced(self) -> Json:
        """The whole identity with what the record says of it, under the tag it was read with."""
        there, record = self.identity or {}, self.record
        edge = bool(there.get("capabilities", {}).get("iotEdge")) if record.edge is None else record.edge
        kept = {name: there[name] for name in ("authentication", "statusReason", "deviceScope") if there.get(name)}
        return {
            **kept,
            "id": record.device_id,
            "importMode": "updateIfMatchETag",
            "eTag": there.get("etag"),
            "status": record.status or there.get("status"),
            "capabilities": {"iotEdge": edge},
            **_authentication(record),
        }


@dataclass(frozen=True, kw_only=True)
class ImportPlan:
    """What an import would do, in the order of the file, and the lines that say nothing that can be done."""

    devices: list[PlannedDevice]
    errors: list[LineError]

    def count(self, action: Action) -> int:
        """Devices with which that is to be done."""
        return sum(device.action is action for device in self.devices)

    @property
    def changes(self) -> list[PlannedDevice]:
        """The devices that are not yet as the file says."""
        return [device for device in self.devices if device.action is not Action.NONE]


async def plan_import(
    service: HubService, records: Sequence[DeviceRecord], errors: Sequence[LineError] = ()
) -> ImportPlan:
    """Looks at the devices named and says what they take; changes nothing."""
    twins = {str(twin["deviceId"]): twin async for twin in _twins(service, records)}

    async def plan(record: DeviceRecord) -> PlannedDevice:
        twin = twins.get(record.device_id)
        if twin is None:
            return PlannedDevice(record=record, action=Action.CREATE)
        if not _identity_may_differ(record, twin):
            return _planned(record, twin, None)
        return _planned(record, twin, await service.get_device(record.device_id))

    return ImportPlan(devices=await map_bounded(plan, records, at_once=READ_AT_ONCE), errors=list(errors))


async def carry_out(
    service: HubService, plan: ImportPlan, *, on_progress: Callable[[int], None] = lambda count: None
) -> list[LineError]:
    """Does what is planned, a hundred devices a call; what could not be done, by the lines of the file.

    A device that is there although the query did not know it (the hub's index lags behind) is changed instead.
    """
    problems = await _apply(service, plan.changes, on_progress)
    taken = {problem.device_id for problem in problems if problem.code == TAKEN}
    late = [await _looked_up(service, device.record) for device in plan.changes if device.record.device_id in taken]
    rest = [problem for problem in problems if problem.code != TAKEN]
    rest += await _apply(service, [device for device in late if device.action is not Action.NONE], lambda count: None)
    lines = {device.record.device_id: device.record.line for device in plan.changes}
    return sorted(
        (LineError(line=lines.get(each.device_id, 0), message=str(each), device_id=each.device_id) for each in rest),
        key=lambda error: error.line,
    )


async def _apply(
    service: HubService, devices: Sequence[PlannedDevice], on_progress: Callable[[int], None]
) -> list[BulkProblem]:
    """Identities before twins: one call may not name a device twice."""
    items = [item for device in devices for item in device.items()]
    twins = [item for item in items if item["importMode"] == "updateTwin"]
    identities = [item for item in items if item["importMode"] != "updateTwin"]
    problems = await change_in_bulk(service, identities, on_progress=on_progress)
    return problems + await change_in_bulk(
        service, twins, on_progress=lambda count: on_progress(len(identities) + count)
    )


async def _looked_up(service: HubService, record: DeviceRecord) -> PlannedDevice:
    try:
        twin = await service.get_twin(Identity(record.device_id))
        identity = await service.get_device(record.device_id) if _identity_may_differ(record, twin) else None
    except HubError as error:
        if error.status != 404:
            raise
        return PlannedDevice(record=record, action=Action.CREATE)
    return _planned(record, twin, identity)


def _planned(record: DeviceRecord, twin: Json, identity: Json | None) -> PlannedDevice:
    identity_differs = identity is not None and _identity_differs(record, identity)
    actions = {
        (True, True): Action.BOTH,
        (True, False): Action.IDENTITY,
        (False, True): Action.TWIN,
        (False, False): Action.NONE,
    }
    action = actions[identity_differs, _twin_differs(record, twin)]
    return PlannedDevice(record=record, action=action, identity=identity if identity_differs else None)


def _identity_may_differ(record: DeviceRecord, twin: Json) -> bool:
    """Keys are in no twin, so a record with keys needs the identity to be read."""
    edge = bool(twin.get("capabilities", {}).get("iotEdge"))
    return (
        record.primary_key is not None
        or (record.status is not None and record.status != twin.get("status"))
        or (record.edge is not None and record.edge != edge)
    )


def _identity_differs(record: DeviceRecord, identity: Json) -> bool:
    keys = identity.get("authentication", {}).get("symmetricKey") or {}
    edge = bool(identity.get("capabilities", {}).get("iotEdge"))
    return (
        (record.status is not None and record.status != identity.get("status"))
        or (record.edge is not None and record.edge != edge)
        or (record.primary_key is not None and record.primary_key != keys.get("primaryKey"))
        or (record.secondary_key is not None and record.secondary_key != keys.get("secondaryKey"))
    )


def _twin_differs(record: DeviceRecord, twin: Json) -> bool:
    tags: Json = twin.get("tags", {})
    desired: Json = twin.get("properties", {}).get("desired", {})
    return merge_patch(tags, record.tags) != tags or merge_patch(desired, record.desired) != desired


def _twin(record: DeviceRecord) -> Json:
    tags = {"tags": record.tags} if record.tags else {}
    return {**tags, **({"properties": {"desired": record.desired}} if record.desired else {})}


def _authentication(record: DeviceRecord) -> Json:
    if record.primary_key is None:
        return {}
    keys = {"primaryKey": record.primary_key, "secondaryKey": record.secondary_key}
    return {"authentication": {"type": "sas", "symmetricKey": keys}}


async def _twins(service: HubService, records: Sequence[DeviceRecord]) -> AsyncIterator[Json]:
    """The twins of the devices named that the hub has."""
    if len(records) > QUERIED_AT_MOST:
        named = {record.device_id for record in records}
        async for twin in service.query("SELECT * FROM devices"):
            if twin["deviceId"] in named:
                yield twin
        return
    for condition in _conditions(records):
        async for twin in service.query(f"SELECT * FROM devices WHERE {condition}"):
            yield twin


def _conditions(records: Sequence[DeviceRecord]) -> Iterator[str]:
    """Conditions that name all devices, each short enough for one query."""
    chunk: list[str] = []
    length = 0
    for quoted in ("'" + record.device_id.replace("'", "''") + "'" for record in records):
        if chunk and length + len(quoted) + 1 > QUERY_BUDGET_CHARACTERS:
            yield f"deviceId IN [{','.join(chunk)}]"
            chunk, length = [], 0
        chunk.append(quoted)
        length += len(quoted) + 1
    if chunk:
        yield f"deviceId IN [{','.join(chunk)}]"
