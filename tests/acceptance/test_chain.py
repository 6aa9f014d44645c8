"""A user's programs on the unmodified SDKs: azure-iot-device on the one side, azure-iot-hub on the other."""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient, Message, MethodRequest, MethodResponse

from tests.acceptance.support import Process, RunningHub, eventually
from tests.azure_iot_hub import registry_manager

hub_sdk = pytest.importorskip("azure.iot.hub", reason="azure-iot-hub has wheels for x86-64 Linux only")
models = pytest.importorskip("azure.iot.hub.models", reason="azure-iot-hub has wheels for x86-64 Linux only")

pytestmark = pytest.mark.acceptance
DEVICE = "chain-1"


@pytest.fixture(scope="module")
def registry(hub: RunningHub) -> Iterator[Any]:
    """azure-iot-hub's manager; it finds the hub's authority only by REQUESTS_CA_BUNDLE."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", hub.variables["REQUESTS_CA_BUNDLE"])
        with registry_manager(hub.owner) as manager:
            yield manager


@pytest.fixture(scope="module")
def device(hub: RunningHub, registry: Any) -> Iterator[IoTHubDeviceClient]:
    """A connected device with an identity made by the service SDK."""
    identity = registry.create_device_with_sas(DEVICE, "", "", "enabled")
    text = hub.device_connection_string(DEVICE, identity.authentication.symmetric_key.primary_key)
    client = IoTHubDeviceClient.create_from_connection_string(text, server_verification_cert=hub.ca_pem)
    client.connect()
    yield client
    client.shutdown()


def test_telemetry_shows_up_in_the_trace_with_its_properties(hub: RunningHub, device: IoTHubDeviceClient) -> None:
    trace = Process(hub.home, "hub", "trace", "--output", "json", until="")
    message = Message(json.dumps({"temperature": 21.5}), content_type="application/json", content_encoding="utf-8")
    message.custom_properties["alert"] = "no"

    def sent_and_seen() -> list[Any]:
        # The trace shows what happens from the moment it is connected.
        device.send_message(message)
        events = [json.loads(line) for line in trace.lines()]
        return [event for event in events if event["source"] == "Telemetry" and event["deviceId"] == DEVICE]

    event = eventually(sent_and_seen)[0]
    assert (event["body"], event["properties"]) == ({"temperature": 21.5}, {"alert": "no"})
    trace.stop()


def test_desired_properties_reach_the_device_and_reported_ones_the_service(
    registry: Any, device: IoTHubDeviceClient
) -> None:
    patches: queue.Queue[dict[str, Any]] = queue.Queue()
    device.on_twin_desired_properties_patch_received = patches.put
    registry.update_twin(DEVICE, models.Twin(properties=models.TwinProperties(desired={"rate": 5})), "*")
    patch = patches.get(timeout=10)
    assert patch["rate"] == 5
    device.patch_twin_reported_properties({"rate": {"value": 5, "ac": 200, "av": patch["$version"]}})
    assert registry.get_twin(DEVICE).properties.reported["rate"]["av"] == patch["$version"]
    assert device.get_twin()["desired"]["rate"] == 5


def test_a_direct_method_is_answered(registry: Any, device: IoTHubDeviceClient) -> None:
    def answer(request: MethodRequest) -> None:
        device.send_method_response(MethodResponse.create_from_method_request(request, 201, {"got": request.payload}))

    device.on_method_request_received = answer
    result = registry.invoke_device_method(DEVICE, models.CloudToDeviceMethod(method_name="echo", payload={"a": [1]}))
    assert (result.status, result.payload) == (201, {"got": {"a": [1]}})


def test_a_job_of_the_service_sdk_sets_twins_by_query(hub: RunningHub, registry: Any) -> None:
    registry.update_twin(DEVICE, models.Twin(tags={"building": "B7"}), "*")
    jobs = hub_sdk.IoTHubJobManager.from_connection_string(str(hub.owner))
    job_id = f"job-{uuid.uuid4().hex}"
    twin = models.Twin(etag="*", properties=models.TwinProperties(desired={"interval": 2}))
    request = models.JobRequest(
        job_id=job_id, type="scheduleUpdateTwin", query_condition="tags.building = 'B7'", update_twin=twin
    )
    jobs.create_scheduled_job(job_id, request)
    completed: Callable[[], bool] = lambda: jobs.get_scheduled_job(job_id).status == "completed"  # noqa: E731
    eventually(completed)
    assert registry.get_twin(DEVICE).properties.desired["interval"] == 2
    rows = registry.query_iot_hub(models.QuerySpecification(query="SELECT * FROM devices WHERE tags.building = 'B7'"))
    assert [item.device_id for item in rows.items] == [DEVICE]


def test_a_wrong_key_is_refused_by_both_doors(hub: RunningHub, registry: Any) -> None:
    registry.create_device_with_sas("chain-2", "", "", "enabled")
    other_key = registry.get_device(DEVICE).authentication.symmetric_key.primary_key
    text = hub.device_connection_string("chain-2", other_key)
    client = IoTHubDeviceClient.create_from_connection_string(text, server_verification_cert=hub.ca_pem)
    with pytest.raises(Exception, match=r"(?i)credential|unauthorized|connect"):
        client.connect()
    client.shutdown()
    wrong = str(hub.owner).replace("iothubowner", "registryRead")
    with registry_manager(wrong) as manager, pytest.raises(Exception, match="Unauthorized"):
        manager.get_device(DEVICE)
