"""What `HubService` promises, on each of its two adapters: our own REST client, and azure-iot-hub."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hub_tools.azure_sdk import SdkHubService
from hub_tools.rest import RestHubService
from hub_tools.service import HubService, HubUnreachableError
from iot_core.errors import ConnectionStringError, HubError
from iot_core.identity import Identity
from local_hub.environment import hub_environment
from tests.hub_tools.conftest import RunningHub

ADAPTERS: dict[str, Any] = {"rest": RestHubService}
if find_spec("uamqp"):  # which azure-iot-hub needs; it has wheels for x86-64 Linux only
    ADAPTERS["azure-iot-hub"] = SdkHubService


@pytest.fixture(params=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Any:
    return ADAPTERS[request.param]


@pytest.fixture
async def service(adapter: Any, hub: RunningHub) -> AsyncIterator[HubService]:
    async with adapter(hub.owner, ca_file=hub.files.authority) as service:
        yield service


@pytest.fixture
async def device(service: HubService) -> AsyncIterator[str]:
    await service.create_device("thermostat-1", edge=True)
    yield "thermostat-1"
    await service.delete_device("thermostat-1")


async def test_documents_are_the_hubs_own(service: HubService, hub: RunningHub, device: str) -> None:
    async with hub.service() as plain:
        assert await service.get_device(device) == (await plain.call("GET", f"/devices/{device}")).object()
        assert await service.get_twin(Identity(device)) == (await plain.call("GET", f"/twins/{device}")).object()
        assert await service.device_counts() == (await plain.call("GET", "/statistics/devices")).object()


async def test_an_identity_is_replaced_only_under_its_own_etag(service: HubService, device: str) -> None:
    held = await service.get_device(device)
    changed = await service.put_device(device, {**held, "status": "disabled"}, etag=held["etag"])
    assert (changed["status"], changed["authentication"]) == ("disabled", held["authentication"])
    with pytest.raises(HubError) as stale:
        await service.put_device(device, {**held, "status": "enabled"}, etag=held["etag"])
    assert stale.value.status == 412


async def test_what_is_there_already_or_is_not_has_the_hubs_own_error(service: HubService, device: str) -> None:
    with pytest.raises(HubError) as taken:
        await service.create_device(device)
    with pytest.raises(HubError) as missing:
        await service.get_device("nobody")
    assert (taken.value.name, missing.value.name) == ("DeviceAlreadyExists", "DeviceNotFound")


async def test_a_twin_is_merged_with_nulls_and_replaced_whole(service: HubService, device: str) -> None:
    await service.patch_twin(Identity(device), {"tags": {"a": 1, "b": {"c": [1, 2], "d": None}}})
    twin = await service.patch_twin(
        Identity(device), {"tags": {"a": None}, "properties": {"desired": {"x": {"y": True}}}}
    )
    assert twin["tags"] == {"b": {"c": [1, 2]}}
    assert twin["properties"]["desired"]["x"] == {"y": True}
    replaced = await service.replace_twin(Identity(device), {"tags": {"z": 0.5}, "properties": {"desired": {}}})
    assert (replaced["tags"], "x" in replaced["properties"]["desired"]) == ({"z": 0.5}, False)
    with pytest.raises(HubError) as stale:
        await service.patch_twin(Identity(device), {"tags": {"q": 1}}, etag=twin["etag"])
    assert stale.value.status == 412


async def test_modules_are_listed_and_have_twins(service: HubService, device: str) -> None:
    names = [module["moduleId"] for module in await service.list_modules(device)]
    assert sorted(names) == ["$edgeAgent", "$edgeHub"]
    twin = await service.get_twin(Identity(device, "$edgeAgent"))
    assert (twin["deviceId"], twin["moduleId"]) == (device, "$edgeAgent")


async def test_a_bulk_change_does_what_it_can_and_names_the_rest(service: HubService, device: str) -> None:
    items = [{"id": name, "importMode": "create", "status": "enabled", "tags": {"t": 1}} for name in (device, "b-1")]
    result = await service.change_devices(items)
    assert [(error["deviceId"], error["errorCode"]) for error in result.errors] == [(device, "DeviceAlreadyExists")]
    assert (await service.get_twin(Identity("b-1")))["tags"] == {"t": 1}
    assert (await service.change_devices([{"id": "b-1", "importMode": "delete"}])).errors == []


async def test_pages_go_on_from_a_continuation_token(service: HubService) -> None:
    names = [f"p-{number}" for number in range(5)]
    await service.change_devices([{"id": name, "importMode": "create", "status": "enabled"} for name in names])
    text = "SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, 'p-')"
    while len([row async for row in service.query(text)]) != len(names):
        await asyncio.sleep(0.2)
    first = await anext(service.query_pages(text, page_size=2))
    rest = [
        row
        async for page in service.query_pages(text, continuation=first.continuation, page_size=2)
        for row in page.rows
    ]
    assert sorted(row["deviceId"] for row in (*first.rows, *rest)) == names
    assert first.size_bytes > len(json.dumps(first.rows)) // 2
    await service.change_devices([{"id": name, "importMode": "delete"} for name in names])


async def test_a_method_of_a_device_that_is_away_is_refused_at_once(service: HubService, device: str) -> None:
    with pytest.raises(HubError) as away:
        await service.invoke_method(Identity(device), "reboot", {"delaySeconds": 1})
    assert away.value.name == "DeviceNotOnline"


async def test_a_job_is_made_seen_and_listed(service: HubService, device: str, adapter: Any) -> None:
    job_id = f"contract-{adapter.__name__.lower()}"
    twin = {"etag": "*", "tags": {"job": 1}}
    body = {"type": "scheduleUpdateTwin", "queryCondition": f"deviceId = '{device}'", "updateTwin": twin}
    made = await service.create_job(job_id, body)
    assert (made["jobId"], made["type"]) == (job_id, "scheduleUpdateTwin")
    while (await service.get_job(job_id))["status"] != "completed":
        await asyncio.sleep(0.05)
    listed = await service.list_jobs(job_type="scheduleUpdateTwin", job_status="completed")
    assert job_id in [job["jobId"] for job in listed]
    assert await service.list_jobs(job_type="scheduleDeviceMethod") == []
    with pytest.raises(HubError):
        await service.cancel_job(job_id)


async def test_a_configuration_comes_changes_and_goes(service: HubService, adapter: Any) -> None:
    name = f"contract-{adapter.__name__.lower()}"
    content = {"deviceContent": {"properties.desired.mode": {"a": None, "b": [1]}}}
    body = {"content": content, "targetCondition": "tags.none = 1", "priority": 3, "labels": {"l": "m"}}
    made = await service.put_configuration(name, body)
    assert (made["content"]["deviceContent"], made["labels"]) == (content["deviceContent"], {"l": "m"})
    with pytest.raises(HubError, match="ConfigurationAlreadyExists"):
        await service.put_configuration(name, body)
    changed = await service.put_configuration(name, {**made, "priority": 4}, etag=made["etag"])
    assert (await service.get_configuration(name))["priority"] == changed["priority"] == 4
    assert name in [each["id"] for each in await service.list_configurations()]
    with pytest.raises(HubError) as stale:
        await service.delete_configuration(name, etag=made["etag"])
    assert stale.value.status == 412
    await service.delete_configuration(name)
    with pytest.raises(HubError, match="404"):
        await service.get_configuration(name)


async def test_a_target_condition_is_tested(service: HubService) -> None:
    assert await service.test_target_condition("tags.building = 'B1'") is None
    assert await service.test_target_condition("tags.building =")


async def test_an_edge_device_is_given_a_deployment(service: HubService, device: str) -> None:
    content = json.loads((Path(__file__).parents[2] / "deployment.template.json").read_text())["modulesContent"]
    await service.apply_configuration_content(device, {"modulesContent": content})
    twin = await service.get_twin(Identity(device, "$edgeAgent"))
    assert (
        twin["properties"]["desired"]["modules"].keys() == content["$edgeAgent"]["properties.desired"]["modules"].keys()
    )


async def test_a_lesser_policy_is_told_which_right_it_lacks(adapter: Any, hub: RunningHub) -> None:
    reader = hub_environment(hub.home, policy="registryRead")["IOTHUB_CONNECTION_STRING"]
    async with adapter(reader, ca_file=hub.files.authority) as service:
        with pytest.raises(
            HubError, match=r"PUT /devices/x needs RegistryRead and RegistryWrite .* registryRead may not"
        ):
            await service.create_device("x")


async def test_a_hub_that_does_not_answer_is_unreachable(adapter: Any, hub: RunningHub) -> None:
    nowhere = str(hub.owner).replace(hub.owner.host_name, "127.0.0.1:1")
    async with adapter(nowhere) as service:
        with pytest.raises(HubUnreachableError, match=r"127\.0\.0\.1"):
            await service.create_device("x")


def test_a_devices_connection_string_is_refused(adapter: Any) -> None:
    with pytest.raises(ConnectionStringError, match="SharedAccessKeyName"):
        adapter("HostName=h;DeviceId=d;SharedAccessKey=AAAA")
