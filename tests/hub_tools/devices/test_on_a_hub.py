"""Imports, counts and cloud-to-device messages against a hub process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hub_tools.cloud_to_device import CloudMessage, CloudToDevice, Feedback
from hub_tools.credentials import EntraCredential, PolicyCredential
from hub_tools.devices import (
    Action,
    Count,
    DeviceRecord,
    ImportPlan,
    PlannedDevice,
    carry_out,
    change_in_bulk,
    collect_records,
    count_by,
    count_groups,
    plan_import,
)
from hub_tools.groups import Group
from hub_tools.rest import RestHubService
from iot_core.c2d import Ack
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError, MessageError
from iot_core.identity import Identity
from local_hub.environment import hub_environment
from tests.hub_tools.conftest import RunningHub
from tests.hub_tools.device_side import fetch

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


async def indexed(service: RestHubService, where: str, count: int) -> None:
    """Wait until queries see so many devices, which a hub that is like Azure's shows some seconds late."""
    while len([row async for row in service.query(f"SELECT deviceId FROM devices WHERE {where}")]) != count:
        await asyncio.sleep(0.2)


@pytest.fixture
async def fleet(service: RestHubService) -> AsyncIterator[list[DeviceRecord]]:
    """120 devices, more than a bulk call takes."""
    records = [
        DeviceRecord(device_id=f"f-{number:03}", tags={"site": {"floor": number % 3}, "fleet": "f"}, line=number + 2)
        for number in range(120)
    ]
    yield records
    await change_in_bulk(service, ({"id": f"f-{number:03}", "importMode": "delete"} for number in range(120)))


async def test_an_import_creates_in_bulk_and_a_second_one_does_nothing(
    service: RestHubService, fleet: list[DeviceRecord]
) -> None:
    plan, seen = await plan_import(service, fleet), list[int]()
    assert plan.count(Action.CREATE) == 120
    assert await carry_out(service, plan, on_progress=seen.append) == []
    assert seen == [100, 120]
    await indexed(service, "tags.fleet = 'f'", 120)
    assert (await plan_import(service, fleet)).changes == []
    assert [count.devices for count in await count_by(service, "tags.site.floor", "tags.fleet = 'f'")] == [40, 40, 40]
    records = await collect_records(service, "tags.site.floor = 1")
    assert [record.device_id for record in records[:2]] == ["f-001", "f-004"]


@pytest.fixture
async def device(service: RestHubService) -> AsyncIterator[dict[str, Any]]:
    made = await service.put_device("d-1", {"status": "enabled", "statusReason": "new"})
    await service.patch_twin(Identity("d-1"), {"tags": {"a": 1, "b": 2}})
    await indexed(service, "tags.a = 1", 1)
    yield made
    await service.delete_device("d-1")


async def test_an_import_changes_only_what_the_file_names(service: RestHubService, device: dict[str, Any]) -> None:
    record = DeviceRecord(device_id="d-1", status="disabled", tags={"a": None, "c": {"d": 3}}, desired={"x": 1})
    plan = await plan_import(service, [record])
    assert plan.devices[0].action is Action.BOTH
    assert await carry_out(service, plan) == []
    now, twin = await service.get_device("d-1"), await service.get_twin(Identity("d-1"))
    assert (now["status"], now["statusReason"]) == ("disabled", "new")
    assert now["authentication"]["symmetricKey"] == device["authentication"]["symmetricKey"]
    assert twin["tags"] == {"b": 2, "c": {"d": 3}}
    assert twin["properties"]["desired"]["x"] == 1


async def test_keys_are_imported_and_exported_when_asked_for(service: RestHubService, device: dict[str, Any]) -> None:
    record = DeviceRecord(device_id="d-1", primary_key=KEY, secondary_key=KEY)
    plan = await plan_import(service, [record])
    assert plan.devices[0].action is Action.IDENTITY
    assert await carry_out(service, plan) == []
    assert (await plan_import(service, [record])).changes == []
    with_keys = await collect_records(service, "deviceId = 'd-1'", keys=True)
    assert [each.primary_key for each in with_keys] == [KEY]
    assert [each.primary_key for each in await collect_records(service, "deviceId = 'd-1'")] == [None]


async def test_a_device_that_the_query_does_not_know_yet_is_changed_not_refused(
    service: RestHubService, device: dict[str, Any]
) -> None:
    """The index of a real hub lags behind, so the plan may want to create what is there."""
    record = DeviceRecord(device_id="d-1", tags={"late": True}, line=2)
    late = ImportPlan(devices=[PlannedDevice(record=record, action=Action.CREATE)], errors=[])
    assert await carry_out(service, late) == []
    assert (await service.get_twin(Identity("d-1")))["tags"]["late"] is True


async def test_what_the_hub_refuses_is_told_by_its_line(service: RestHubService, device: dict[str, Any]) -> None:
    records = [DeviceRecord(device_id="d-1", status="disabled", line=2)]
    plan = await plan_import(service, records)
    await service.put_device("d-1", {**device, "statusReason": "changed meanwhile"}, etag="*")
    [error] = await carry_out(service, plan)
    assert (error.line, error.device_id) == (2, "d-1")
    assert "PreconditionFailed" in error.message


async def test_groups_are_counted_by_the_hub(service: RestHubService, device: dict[str, Any]) -> None:
    groups = [Group("ones", "tags.a = 1"), Group("nobody", "tags.a = 77")]
    assert await count_groups(service, groups) == [Count(value="ones", devices=1), Count(value="nobody", devices=0)]


@pytest.fixture
async def sender(hub: RunningHub) -> AsyncIterator[CloudToDevice]:
    async with CloudToDevice(PolicyCredential(hub.owner), ca_file=hub.files.authority) as connection:
        yield connection


async def test_a_message_comes_with_its_properties_and_its_end_is_told(
    service: RestHubService, device: dict[str, Any], sender: CloudToDevice
) -> None:
    message = CloudMessage(
        body=b'{"text": "hello"}',
        properties={"kind": "note"},
        message_id="m-1",
        content_type="application/json",
        expiry=time.time() + 600,
        ack=Ack.FULL,
    )
    await sender.send("d-1", message)
    reply = await fetch(service, "d-1")
    assert json.loads(reply.body) == {"text": "hello"}
    assert reply.header("iothub-app-kind") == "note"
    assert reply.header("iothub-messageid") == "m-1"
    told = await anext(sender.feedback({"m-1"}))
    assert told == Feedback(message_id="m-1", device_id="d-1", status="Success", time=told.time)


async def test_a_full_queue_and_an_unknown_device_are_refused_by_name(
    device: dict[str, Any], sender: CloudToDevice
) -> None:
    with pytest.raises(HubError, match="DeviceNotFound"):
        await sender.send("nobody", CloudMessage(body=b""))
    for _ in range(50):
        await sender.send("d-1", CloudMessage(body=b"x"))
    with pytest.raises(HubError, match="DeviceMaximumQueueDepthExceeded"):
        await sender.send("d-1", CloudMessage(body=b"x"))


async def test_a_message_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with pytest.raises(MessageError, match="65536"):
        CloudMessage(body=b"x" * 65537)


async def test_who_may_not_send_is_told_which_right_lacks(hub: RunningHub) -> None:
    reader = hub_environment(hub.home, policy="registryRead")["IOTHUB_CONNECTION_STRING"]
    credential = PolicyCredential(ConnectionString.parse(reader))
    with pytest.raises(HubError, match=r"need ServiceConnect .* the policy registryRead may not have"):
        await CloudToDevice(credential, ca_file=hub.files.authority).__aenter__()


async def test_a_signed_in_sender_shows_its_bearer_token(hub: RunningHub) -> None:
    """The local hub takes no tokens of Entra, and says so: that is how far it got."""

    class Source:
        async def get_token(self, scope: str) -> Any:
            assert scope == "https://iothubs.azure.net/.default"
            return SimpleNamespace(token="entra")

        async def close(self) -> None: ...

    credential = EntraCredential(hub.host, source=Source())
    with pytest.raises(HubError, match="Microsoft Entra tokens are not taken"):
        await CloudToDevice(credential, ca_file=hub.files.authority).__aenter__()
