"""azure-iothub: registry, twins, queries, jobs, methods and cloud-to-device messages."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from iot_core.clock import iso
from tests.acceptance.support import RunningHub, eventually
from tests.node.support import Peer, SdkError

pytestmark = pytest.mark.node


@pytest.fixture
def unused() -> str:
    """An id that nothing has."""
    return f"node-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["Amqp", "AmqpWs"])
def sender(request: pytest.FixtureRequest, hub: RunningHub, peer: Peer) -> Iterator[Peer]:
    """The peer, with an open connection to the operators' side of AMQP."""
    if request.param == "AmqpWs":
        request.getfixturevalue("on_443")
    peer.call("service", str(replace(hub.owner, host_name=hub.host)))
    peer.call("openService", request.param)
    yield peer
    peer.call("closeService")


@pytest.fixture
async def device(peer: Peer, new_device: Any) -> AsyncIterator[str]:
    """The id of a device that is connected over MQTT and answers the method `echo`."""
    device_id, connection_string = await new_device()
    peer.call("open", device_id, "Mqtt", connection_string)
    peer.call("answerMethod", device_id, "echo", 200)
    yield device_id
    peer.call("close", device_id)


def test_a_device_is_created_read_changed_and_removed(service: Peer, unused: str) -> None:
    made = service.call("registry", "create", {"deviceId": unused, "status": "enabled"})
    assert made["authentication"]["type"] == "sas"
    service.call("registry", "update", {"deviceId": unused, "status": "disabled", "statusReason": "lost"})
    assert service.call("registry", "get", unused)["statusReason"] == "lost"
    service.call("registry", "delete", unused)
    with pytest.raises(SdkError, match="DeviceNotFoundError"):
        service.call("registry", "get", unused)


def test_a_device_is_created_once(service: Peer, unused: str) -> None:
    service.call("registry", "create", {"deviceId": unused})
    with pytest.raises(SdkError, match="DeviceAlreadyExistsError"):
        service.call("registry", "create", {"deviceId": unused})


def test_devices_come_and_go_in_bulk(service: Peer, unused: str) -> None:
    items = [{"deviceId": f"{unused}-{number}"} for number in range(3)]
    assert service.call("registry", "addDevices", items)["isSuccessful"] is True
    assert {item["deviceId"] for item in items} <= {each["deviceId"] for each in service.call("registry", "list")}
    with pytest.raises(SdkError, match=r"ArgumentError.*DeviceAlreadyExists"):
        service.call("registry", "addDevices", items)
    assert service.call("registry", "removeDevices", items, True)["isSuccessful"] is True


def test_a_module_is_created_read_changed_and_removed(service: Peer, unused: str) -> None:
    service.call("registry", "create", {"deviceId": unused})
    service.call("registry", "addModule", {"deviceId": unused, "moduleId": "m"})
    assert [each["moduleId"] for each in service.call("registry", "getModulesOnDevice", unused)] == ["m"]
    module = service.call("registry", "getModule", unused, "m")
    service.call("registry", "updateModule", {**module, "managedBy": "us"}, True)
    assert service.call("registry", "getModule", unused, "m")["managedBy"] == "us"
    service.call("registry", "updateModuleTwin", unused, "m", {"properties": {"desired": {"a": 1}}}, "*")
    assert service.call("registry", "getModuleTwin", unused, "m")["properties"]["desired"]["a"] == 1
    service.call("registry", "removeModule", unused, "m")
    with pytest.raises(SdkError, match="Not found"):
        service.call("registry", "getModule", unused, "m")


def test_statistics_count_devices(service: Peer, unused: str) -> None:
    before = service.call("registry", "getRegistryStatistics")["totalDeviceCount"]
    service.call("registry", "create", {"deviceId": unused})
    assert service.call("registry", "getRegistryStatistics")["totalDeviceCount"] == before + 1


def test_a_twin_is_updated_with_its_etag(service: Peer, unused: str) -> None:
    service.call("registry", "create", {"deviceId": unused})
    twin = service.call("updateTwin", unused, {"tags": {"site": "s1"}, "properties": {"desired": {"interval": 5}}})
    assert (twin["tags"], twin["properties"]["desired"]["interval"]) == ({"site": "s1"}, 5)
    with pytest.raises(SdkError, match="InvalidEtagError"):
        service.call("registry", "updateTwin", unused, {"tags": {"site": "s2"}}, "AAAAAAAAAAA=")


def test_a_query_gives_all_its_pages(service: Peer, unused: str) -> None:
    items = [{"deviceId": f"{unused}-{number}"} for number in range(5)]
    service.call("registry", "addDevices", items)
    answer = service.call("query", f"SELECT * FROM devices WHERE STARTSWITH(deviceId, '{unused}')", 2)
    assert {row["deviceId"] for row in answer["rows"]} == {item["deviceId"] for item in items}
    assert answer["pages"] == 3


def test_a_configuration_is_added_changed_and_removed(service: Peer, unused: str) -> None:
    content = {"deviceContent": {"properties.desired.mode": {"fast": True}}}
    target = f"deviceId = '{unused}'"
    wanted = {"id": unused, "schemaVersion": "1.0", "content": content, "targetCondition": target, "priority": 5}
    assert service.call("registry", "addConfiguration", wanted)["etag"]
    made = service.call("registry", "getConfiguration", unused)
    service.call("registry", "updateConfiguration", {**made, "priority": 7}, True)
    listed = {each["id"]: each["priority"] for each in service.call("registry", "getConfigurations")}
    assert listed[unused] == 7
    service.call("registry", "removeConfiguration", unused)
    with pytest.raises(SdkError, match="Not found"):
        service.call("registry", "getConfiguration", unused)


@pytest.mark.usefixtures("on_443")
def test_a_method_is_invoked(sender: Peer, device: str) -> None:
    call = {"methodName": "echo", "payload": {"n": 1}, "responseTimeoutInSeconds": 10}
    assert sender.call("invoke", device, call) == {"status": 200, "payload": {"n": 1}}


@pytest.mark.usefixtures("on_443")
def test_a_method_on_a_device_that_is_away_is_not_found(sender: Peer, unused: str) -> None:
    sender.call("registry", "create", {"deviceId": unused})
    with pytest.raises(SdkError, match="Not found"):
        sender.call("invoke", unused, {"methodName": "echo", "payload": None, "responseTimeoutInSeconds": 10})


def test_a_message_arrives_and_its_feedback_comes_back(sender: Peer, device: str) -> None:
    sender.call("listen", device)
    sender.call("feedback")
    sender.call("sendToDevice", device, {"body": "hello", "messageId": device, "ack": "full", "properties": {"a": "b"}})
    message = sender.event("message", device)
    assert (message["body"], message["properties"]["a"], message["messageId"]) == ("hello", "b", device)
    sender.call("settle", device, "complete", device)
    records = sender.event("feedback")["records"]
    assert [(each["originalMessageId"], each["statusCode"]) for each in records] == [(device, "Success")]


@pytest.mark.usefixtures("on_443")
def test_an_uploaded_file_is_told_of_and_settled(sender: Peer, device: str) -> None:
    sender.call("fileNotifications")
    sender.call("upload", device, "photo.txt", "hello")
    while (notification := sender.event("file")["notification"])["deviceId"] != device:
        assert sender.event("settled")["error"] is None
    assert (notification["blobName"], notification["blobSizeInBytes"]) == (f"{device}/photo.txt", 5)
    assert notification["blobUri"].endswith(f"/device-files/{device}/photo.txt")
    assert sender.event("settled")["error"] is None


def test_a_message_for_nobody_is_refused(sender: Peer, unused: str) -> None:
    with pytest.raises(SdkError, match="DeviceNotFoundError"):
        sender.call("sendToDevice", unused, {"body": "hello"})


def test_a_twin_job_runs_on_the_devices_it_names(service: Peer, unused: str) -> None:
    service.call("registry", "create", {"deviceId": unused})
    patch = {"etag": "*", "properties": {"desired": {"job": unused}}}
    service.call("schedule", "TwinUpdate", unused, f"deviceId = '{unused}'", patch, None)
    done = eventually(lambda: completed(service, unused))
    assert done["deviceJobStatistics"]["succeededCount"] == 1
    assert service.call("registry", "getTwin", unused)["properties"]["desired"]["job"] == unused
    listed = service.call("queryJobs", "scheduleUpdateTwin", "completed")
    assert unused in [each["jobId"] for each in listed["rows"]]


def test_a_method_job_calls_the_devices_it_names(service: Peer, device: str) -> None:
    method = {"methodName": "echo", "payload": {"n": 2}, "responseTimeoutInSeconds": 10}
    service.call("schedule", "DeviceMethod", f"job-{device}", f"deviceId = '{device}'", method, None)
    done = eventually(lambda: completed(service, f"job-{device}"))
    assert done["deviceJobStatistics"]["succeededCount"] == 1


def test_a_job_for_later_is_cancelled(service: Peer, unused: str) -> None:
    in_an_hour = iso(time.time() + 3600)
    patch = {"etag": "*", "tags": {"job": unused}}
    service.call("schedule", "TwinUpdate", unused, "deviceId = 'none'", patch, in_an_hour)
    service.call("jobs", "cancelJob", unused)
    assert service.call("jobs", "getJob", unused)["status"] == "cancelled"


def completed(service: Peer, job_id: str) -> Any:
    job = service.call("jobs", "getJob", job_id)
    return job if job["status"] == "completed" else None
