"""azure-iot-hub, unmodified, against the hub."""

from __future__ import annotations

import asyncio
import platform
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

if not (platform.machine() == "x86_64" and sys.platform == "linux"):
    pytest.skip("azure-iot-hub needs uamqp, which has wheels for x86-64 Linux only", allow_module_level=True)

from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    CloudToDeviceMethod,
    ExportImportDevice,
    JobRequest,
    QuerySpecification,
    Twin,
    TwinProperties,
)
from msrest.exceptions import HttpOperationError

from tests.azure_iot_hub import registry_manager

pytestmark = [
    pytest.mark.acceptance,
    # paho-mqtt, inside the device SDK, leaves its wake-up sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def registry(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubRegistryManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    with registry_manager(hub.owner) as manager:
        yield manager


@pytest.fixture
def jobs(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoTHubJobManager]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    manager = IoTHubJobManager.from_connection_string(str(hub.owner))
    yield manager
    manager.protocol.close()


@pytest.fixture
def device_id(registry: IoTHubRegistryManager) -> str:
    name = f"d-{uuid.uuid4().hex[:8]}"
    registry.create_device_with_sas(name, "", "", "enabled")
    return name


def test_a_device_is_made_read_changed_and_deleted(registry: IoTHubRegistryManager, device_id: str) -> None:
    device = registry.get_device(device_id)
    keys = device.authentication.symmetric_key
    assert (device.status, device.connection_state) == ("enabled", "Disconnected")
    changed = registry.update_device_with_sas(device_id, device.etag, keys.primary_key, keys.secondary_key, "disabled")
    assert (changed.status, changed.authentication.symmetric_key.primary_key) == ("disabled", keys.primary_key)
    registry.delete_device(device_id)
    with pytest.raises(HttpOperationError) as missing:
        registry.get_device(device_id)
    assert missing.value.response.status_code == 404


def test_a_module_is_made_read_and_deleted(registry: IoTHubRegistryManager, device_id: str) -> None:
    created = registry.create_module_with_sas(device_id, "m", "someone", "", "")
    read = registry.get_module(device_id, "m")
    assert (read.module_id, read.managed_by, read.etag) == ("m", "someone", created.etag)
    assert [module.module_id for module in registry.get_modules(device_id)] == ["m"]
    registry.delete_module(device_id, "m")
    assert registry.get_modules(device_id) == []


def test_a_second_device_of_the_same_id_is_a_conflict(registry: IoTHubRegistryManager, device_id: str) -> None:
    with pytest.raises(HttpOperationError) as conflict:
        registry.create_device_with_sas(device_id, "", "", "enabled")
    assert conflict.value.response.status_code == 409


def test_lists_and_counts(registry: IoTHubRegistryManager, device_id: str) -> None:
    assert device_id in {device.device_id for device in registry.get_devices()}
    assert registry.get_device_registry_statistics().total_device_count >= 1
    assert registry.get_service_statistics().connected_device_count >= 0


def test_a_bulk_change_makes_many_devices(registry: IoTHubRegistryManager) -> None:
    names = [f"d-{uuid.uuid4().hex[:8]}" for _ in range(10)]
    items = [ExportImportDevice(id=name, import_mode="create", status="enabled") for name in names]
    assert registry.bulk_create_or_update_devices(items).is_successful
    assert registry.get_device(names[-1]).status == "enabled"


def test_a_twin_is_patched_and_replaced(registry: IoTHubRegistryManager, device_id: str) -> None:
    patch = Twin(tags={"building": "B1"}, properties=TwinProperties(desired={"rate": 5, "mode": "slow"}))
    twin = registry.update_twin(device_id, patch, "*")
    assert twin.tags == {"building": "B1"}
    assert twin.properties.desired["$version"] == 2
    replaced = registry.replace_twin(device_id, Twin(properties=TwinProperties(desired={"rate": 6})), twin.etag)
    assert "mode" not in replaced.properties.desired
    assert registry.get_twin(device_id).properties.desired["rate"] == 6


def test_a_stale_etag_is_refused(registry: IoTHubRegistryManager, device_id: str) -> None:
    stale = registry.get_twin(device_id).etag
    registry.update_twin(device_id, Twin(tags={"a": 1}), stale)
    with pytest.raises(HttpOperationError) as refused:
        registry.update_twin(device_id, Twin(tags={"a": 2}), stale)
    assert refused.value.response.status_code == 412


def test_a_module_twin_is_patched(registry: IoTHubRegistryManager, device_id: str) -> None:
    registry.create_module_with_sas(device_id, "m", "", "", "")
    registry.update_module_twin(device_id, "m", Twin(properties=TwinProperties(desired={"a": 1})), "*")
    assert registry.get_module_twin(device_id, "m").properties.desired["a"] == 1


def test_a_query_is_paged(registry: IoTHubRegistryManager) -> None:
    mark = uuid.uuid4().hex
    for _ in range(3):
        name = f"d-{uuid.uuid4().hex[:8]}"
        registry.create_device_with_sas(name, "", "", "enabled")
        registry.update_twin(name, Twin(tags={"mark": mark}), "*")
    question = QuerySpecification(query=f"SELECT * FROM devices WHERE tags.mark = '{mark}'")
    first = registry.query_iot_hub(question, None, 2)
    second = registry.query_iot_hub(question, first.continuation_token, 2)
    assert (len(first.items), len(second.items)) == (2, 1)
    assert not second.continuation_token


def test_a_method_on_a_device_that_is_away_fails(registry: IoTHubRegistryManager, device_id: str) -> None:
    with pytest.raises(HttpOperationError) as refused:
        registry.invoke_device_method(device_id, CloudToDeviceMethod(method_name="m", payload={}))
    assert refused.value.response.status_code == 404
    assert refused.value.response.headers["iothub-errorcode"] == "DeviceNotOnline"


async def test_a_method_reaches_a_device_on_its_own_sdk(
    hub: Any, registry: IoTHubRegistryManager, device_id: str
) -> None:
    key = registry.get_device(device_id).authentication.symmetric_key.primary_key
    text = f"HostName={hub.host};DeviceId={device_id};SharedAccessKey={key}"
    client = IoTHubDeviceClient.create_from_connection_string(text, server_verification_cert=hub.ca_file.read_text())

    async def answer(request: Any) -> None:
        await client.send_method_response(MethodResponse.create_from_method_request(request, 202, {"ok": True}))

    await client.connect()
    client.on_method_request_received = answer
    method = CloudToDeviceMethod(method_name="reboot", payload={"now": True}, response_timeout_in_seconds=10)
    result = await asyncio.to_thread(registry.invoke_device_method, device_id, method)
    await client.shutdown()
    assert (result.status, result.payload) == (202, {"ok": True})


async def test_a_job_changes_every_twin_that_its_condition_names(
    registry: IoTHubRegistryManager, jobs: IoTHubJobManager, eventually: Any
) -> None:
    mark = uuid.uuid4().hex
    names = [f"d-{uuid.uuid4().hex[:8]}" for _ in range(4)]
    for name in names:
        registry.create_device_with_sas(name, "", "", "enabled")
    for name in names[:3]:
        registry.update_twin(name, Twin(tags={"mark": mark}), "*")
    job_id = f"job-{uuid.uuid4().hex[:8]}"
    request = JobRequest(
        job_id=job_id,
        type="scheduleUpdateTwin",
        query_condition=f"tags.mark = '{mark}'",
        update_twin=Twin(etag="*", properties=TwinProperties(desired={"rate": 2})),
        max_execution_time_in_seconds=60,
    )
    assert jobs.create_scheduled_job(job_id, request).status in ("queued", "scheduled", "running", "completed")

    async def completed() -> Any:
        job = jobs.get_scheduled_job(job_id)
        return job if job.status == "completed" else None

    job = await eventually(completed)
    statistics = job.device_job_statistics
    assert (statistics.device_count, statistics.succeeded_count, statistics.failed_count) == (3, 3, 0)
    assert [registry.get_twin(name).properties.desired.get("rate") for name in names] == [2, 2, 2, None]


def test_an_unknown_job_cannot_be_cancelled(jobs: IoTHubJobManager) -> None:
    with pytest.raises(HttpOperationError) as unknown:
        jobs.cancel_scheduled_job(f"job-{uuid.uuid4().hex[:8]}")
    assert unknown.value.response.status_code == 404
