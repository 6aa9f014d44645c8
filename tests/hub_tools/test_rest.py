"""The operators' seam over the REST API, against a hub process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from hub_tools.credentials import EntraCredential
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.errors import ConnectionStringError, HubError, InputError
from iot_core.identity import Identity
from local_hub.environment import hub_environment


@pytest.fixture
async def device(service: RestHubService) -> AsyncIterator[str]:
    await service.create_device("thermostat-1", edge=True)
    yield "thermostat-1"
    await service.delete_device("thermostat-1")


async def test_an_identity_is_replaced_only_under_its_own_etag(service: RestHubService, device: str) -> None:
    held = await service.get_device(device)
    changed = await service.put_device(device, {**held, "status": "disabled"}, etag=held["etag"])
    assert changed["status"] == "disabled"
    with pytest.raises(HubError, match="412"):
        await service.put_device(device, {**held, "status": "enabled"}, etag=held["etag"])


async def test_the_modules_of_an_edge_device_are_listed(service: RestHubService, device: str) -> None:
    names = [module["moduleId"] for module in await service.list_modules(device)]
    assert sorted(names) == ["$edgeAgent", "$edgeHub"]


async def test_a_bulk_change_does_what_it_can_and_names_the_rest(service: RestHubService, device: str) -> None:
    items = [{"id": name, "importMode": "create", "status": "enabled"} for name in (device, "bulk-1")]
    result = await service.change_devices(items)
    assert [error["deviceId"] for error in result.errors] == [device]
    assert (await service.get_device("bulk-1"))["deviceId"] == "bulk-1"
    gone = await service.change_devices([{"id": "bulk-1", "importMode": "delete"}])
    assert gone.errors == []


async def test_pages_go_on_from_a_continuation_token(service: RestHubService, device: str) -> None:
    await service.change_devices([{"id": f"p-{n}", "importMode": "create", "status": "enabled"} for n in range(5)])
    await indexed(service, {device, *(f"p-{n}" for n in range(5))})
    first = await anext(service.query_pages("SELECT deviceId FROM devices", page_size=2))
    assert len(first.rows) == 2
    assert first.size_bytes > 0
    rest = [
        row["deviceId"]
        async for page in service.query_pages(
            "SELECT deviceId FROM devices", page_size=2, continuation=first.continuation
        )
        for row in page.rows
    ]
    assert sorted(rest + [row["deviceId"] for row in first.rows]) == sorted([device, *(f"p-{n}" for n in range(5))])
    await service.change_devices([{"id": f"p-{n}", "importMode": "delete"} for n in range(5)])


async def indexed(service: RestHubService, devices: set[str]) -> None:
    """Wait until queries see just these devices, which a hub that is like Azure's shows some seconds late."""
    while {row["deviceId"] async for row in service.query("SELECT deviceId FROM devices")} != devices:
        await asyncio.sleep(0.2)


async def test_a_twin_is_replaced_whole(service: RestHubService, device: str) -> None:
    await service.patch_twin(Identity(device), {"tags": {"floor": 1}})
    twin = await service.replace_twin(Identity(device), {"tags": {"room": 7}, "properties": {"desired": {}}})
    assert twin["tags"] == {"room": 7}


async def test_a_configuration_comes_changes_and_goes(service: RestHubService) -> None:
    content = {"deviceContent": {"properties.desired.rate": 5}}
    body: dict[str, Any] = {"content": content, "targetCondition": "tags.b = 'B1'", "priority": 1}
    made = await service.put_configuration("rate-1", body)
    with pytest.raises(HubError, match="ConfigurationAlreadyExists"):
        await service.put_configuration("rate-1", body)
    changed = await service.put_configuration("rate-1", {**body, "priority": 2}, etag=made["etag"])
    assert changed["priority"] == 2
    assert [item["id"] for item in await service.list_configurations()] == ["rate-1"]
    await service.delete_configuration("rate-1", etag=changed["etag"])
    with pytest.raises(HubError, match="404"):
        await service.get_configuration("rate-1")


async def test_a_target_condition_is_tried_before_it_is_used(service: RestHubService) -> None:
    assert await service.test_target_condition("tags.building = 'B1'") is None
    assert await service.test_target_condition("tags.building =") is not None


async def test_jobs_are_listed_by_type_and_status(service: RestHubService, device: str) -> None:
    update = {"etag": "*", "tags": {"a": 1}}
    await service.create_job("j-1", {"type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": update})
    assert [job["jobId"] for job in await service.list_jobs(job_type="scheduleUpdateTwin")] == ["j-1"]
    assert await service.list_jobs(job_type="scheduleDeviceMethod") == []


async def test_a_policy_without_the_right_is_told_which_it_lacks(hub: Any) -> None:
    owner = hub.owner
    registry_read = _policy(hub, "registryRead")
    assert registry_read.shared_access_key != owner.shared_access_key
    async with hub.service(registry_read) as service:
        with pytest.raises(HubError, match=r"RegistryWrite.*the policy registryRead"):
            await service.create_device("never")
        with pytest.raises(HubError, match="ServiceConnect"):
            await service.get_twin(Identity("never"))


async def test_a_device_connection_string_is_no_operators(hub: Any) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    with pytest.raises(ConnectionStringError, match="iothubowner"):
        RestHubService(f"HostName={hub.host};DeviceId=d;SharedAccessKey={key}")


async def test_an_entra_token_is_sent_as_a_bearer_token() -> None:
    class Source:
        async def get_token(self, scope: str) -> SimpleNamespace:
            return SimpleNamespace(token=f"for {scope}", expires_on=0)

        async def close(self) -> None: ...

    credential = EntraCredential("h.azure-devices.net", source=Source())
    assert await credential.authorization() == "Bearer for https://iothubs.azure.net/.default"


async def test_a_failed_sign_in_says_what_to_do() -> None:
    class Source:
        async def get_token(self, scope: str) -> SimpleNamespace:
            raise RuntimeError("no token\nlong details")

    with pytest.raises(InputError, match=r"no token Sign in with `az login`"):
        await EntraCredential("h.azure-devices.net", source=Source()).authorization()


def _policy(hub: Any, name: str) -> ConnectionString:
    return ConnectionString.parse(hub_environment(hub.home, policy=name)["IOTHUB_CONNECTION_STRING"])
