"""azure-iot-device on every transport it has."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from tests.acceptance.support import RunningHub
from tests.local_hub.device_certificates import TestCertificate, make_certificate
from tests.node.support import Peer, SdkError

pytestmark = pytest.mark.node

STREAMING = ("Mqtt", "MqttWs", "Amqp", "AmqpWs")
"""The transports on which a device also hears from the hub at any time."""


LOGINS = 25
"""One in five failed where the hub answered the parts of a log-in in another order."""


@pytest.fixture(params=STREAMING)
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name.endswith("Ws"):
        request.getfixturevalue("on_443")
    return name


@pytest.fixture
def device(peer: Peer, transport: str, device_id_and_string: tuple[str, str]) -> Iterator[str]:
    """The id of a device that is connected."""
    device_id, connection_string = device_id_and_string
    peer.call("open", device_id, transport, connection_string)
    yield device_id
    peer.call("close", device_id)


@pytest.fixture
async def device_id_and_string(new_device: Any) -> tuple[str, str]:
    pair: tuple[str, str] = await new_device()
    return pair


@pytest.fixture
async def module(peer: Peer, transport: str, new_device: Any) -> AsyncIterator[str]:
    """The id of a device whose module `m`, which is connected, is called by that id too."""
    device_id, connection_string = await new_device("m")
    peer.call("open", device_id, transport, connection_string)
    yield device_id
    peer.call("close", device_id)


@pytest.mark.usefixtures("on_443")
@pytest.mark.parametrize("transport", [*STREAMING, "Http"], indirect=True)
def test_a_file_is_uploaded_in_its_parts(peer: Peer, device: str) -> None:
    info = peer.call("uploadInfo", device, "a b.txt")
    assert (info["containerName"], info["blobName"]) == ("device-files", f"{device}/a b.txt")
    assert peer.call("putBlob", info, "21.5") == 201
    peer.call("uploadDone", device, info["correlationId"], True)
    with pytest.raises(SdkError):
        peer.call("uploadDone", device, info["correlationId"], True)


def test_telemetry_keeps_body_properties_and_system_properties(peer: Peer, device: str, telemetry_of: Any) -> None:
    message = {
        "body": '{"t":21.5}',
        "properties": {"a b": "c/d", "ü": "&=?"},
        "messageId": "m 1",
        "contentType": "application/json",
        "contentEncoding": "utf-8",
    }
    peer.call("send", device, message)
    (event,) = telemetry_of(device)
    assert event["body"] == {"t": 21.5}
    assert event["properties"] == message["properties"]
    assert event["systemProperties"]["messageId"] == "m 1"
    assert event["systemProperties"]["contentType"] == "application/json"


def test_telemetry_arrives_in_the_order_of_sending(peer: Peer, device: str, telemetry_of: Any) -> None:
    for number in range(5):
        peer.call("send", device, {"body": str(number), "contentType": "application/json", "contentEncoding": "utf-8"})
    assert [event["body"] for event in telemetry_of(device)] == [0, 1, 2, 3, 4]


def test_the_twin_has_what_the_device_reported(peer: Peer, device: str) -> None:
    first = peer.call("twin", device)
    assert first["desired"]["$version"] == first["reported"]["$version"] == 1
    peer.call("report", device, {"firmware": {"version": "1.2"}, "gone": None})
    again = peer.call("twin", device)["reported"]
    assert again["firmware"] == {"version": "1.2"}
    assert again["$version"] == 2


async def test_a_change_of_desired_properties_reaches_the_device(
    peer: Peer, device: str, operators: RestHubService
) -> None:
    peer.call("twin", device)
    peer.call("watchDesired", device)
    assert peer.event("desired", device)["patch"]["$version"] == 1
    await operators.call("PATCH", f"/twins/{device}", {"properties": {"desired": {"interval": 5}}})
    assert peer.event("desired", device)["patch"] == {"interval": 5, "$version": 2}


async def test_a_method_is_answered_with_the_devices_status(peer: Peer, device: str, operators: RestHubService) -> None:
    peer.call("answerMethod", device, "reboot", 207)
    body = {"methodName": "reboot", "payload": {"delay": 3}, "responseTimeoutInSeconds": 10}
    reply = await operators.call("POST", f"/twins/{device}/methods", body)
    assert reply.object() == {"status": 207, "payload": {"delay": 3}}
    assert peer.event("method", device)["payload"] == {"delay": 3}


def test_a_message_to_the_device_arrives_whole(peer: Peer, device: str, send_to: Any) -> None:
    peer.call("listen", device)
    send_to(device, {"body": "hello", "properties": {"a b": "c/d"}, "messageId": "to-1"})
    message = peer.event("message", device)
    assert (message["body"], message["properties"], message["messageId"]) == ("hello", {"a b": "c/d"}, "to-1")
    peer.call("settle", device, "complete", "to-1")


@pytest.mark.parametrize("transport", ["Amqp", "Http"])
async def test_an_abandoned_message_comes_again_and_a_rejected_one_is_gone(
    peer: Peer, new_device: Any, send_to: Any, operators: RestHubService, transport: str, request: pytest.FixtureRequest
) -> None:
    if transport == "Http":
        request.getfixturevalue("on_443")
    device_id, connection_string = await new_device()
    send_to(device_id, {"body": "hello", "messageId": "to-3"})
    peer.call("open", device_id, transport, connection_string)
    peer.call("listen", device_id)
    for verdict in ("abandon", "reject"):
        assert peer.event("message", device_id)["body"] == "hello"
        peer.call("settle", device_id, verdict, "to-3")
    # Over AMQP the SDK does not wait for an answer when it settles.
    await gone(operators, device_id)
    peer.call("close", device_id)


async def test_the_model_id_is_in_the_twin(peer: Peer, new_device: Any, operators: RestHubService) -> None:
    device_id, connection_string = await new_device()
    peer.call("open", device_id, "Mqtt", connection_string, {"modelId": "dtmi:com:example:Thermostat;1"})
    twin = (await operators.call("GET", f"/twins/{device_id}")).object()
    peer.call("close", device_id)
    assert twin["modelId"] == "dtmi:com:example:Thermostat;1"


async def test_every_one_of_many_logins_succeeds(
    peer: Peer, new_device: Any, transport: str, telemetry_of: Any
) -> None:
    device_id, connection_string = await new_device()
    for _ in range(LOGINS):
        peer.call("open", device_id, transport, connection_string)
        peer.call("send", device_id, {"body": "1"})
        peer.call("close", device_id)
    assert len(telemetry_of(device_id)) == LOGINS


async def test_a_module_sends_and_has_a_twin_and_methods(
    peer: Peer, module: str, operators: RestHubService, telemetry_of: Any
) -> None:
    peer.call("sendOutput", module, "out", {"body": "1"})
    peer.call("twin", module)
    peer.call("report", module, {"ready": True})
    peer.call("answerMethod", module, "ping", 200)
    reply = await operators.call("POST", f"/twins/{module}/modules/m/methods", {"methodName": "ping", "payload": "x"})
    twin = (await operators.call("GET", f"/twins/{module}/modules/m")).object()
    assert reply.object()["payload"] == "x"
    assert twin["properties"]["reported"]["ready"] is True
    assert telemetry_of(module)[0]["moduleId"] == "m"


async def test_a_wrong_key_is_refused_as_unauthorized(peer: Peer, new_device: Any, transport: str) -> None:
    device_id, _ = await new_device()
    _, of_another = await new_device()
    mixed = f"{of_another.split(';')[0]};DeviceId={device_id};{of_another.split(';')[2]}"
    with pytest.raises(SdkError, match="UnauthorizedError"):
        peer.call("open", f"{device_id}-wrong", transport, mixed)


@pytest.mark.usefixtures("on_443")
async def test_over_https_a_device_sends_single_messages_and_batches(
    peer: Peer, new_device: Any, telemetry_of: Any
) -> None:
    device_id, connection_string = await new_device()
    peer.call("open", device_id, "Http", connection_string)
    peer.call("send", device_id, {"body": "1", "properties": {"n": "v"}, "messageId": "one"})
    peer.call("sendBatch", device_id, [{"body": "2", "properties": {"n": "w"}}, {"body": "3"}])
    peer.call("close", device_id)
    assert [event["properties"] for event in telemetry_of(device_id)] == [{"n": "v"}, {"n": "w"}, {}]


@pytest.mark.usefixtures("on_443")
async def test_over_https_a_device_takes_messages(peer: Peer, new_device: Any, send_to: Any) -> None:
    device_id, connection_string = await new_device()
    send_to(device_id, {"body": "hello", "properties": {"a": "b"}, "messageId": "to-2"})
    peer.call("open", device_id, "Http", connection_string)
    peer.call("listen", device_id)
    # The SDK leaves the prefix of the header on.
    message = peer.event("message", device_id)
    assert (message["body"], message["properties"]) == ("hello", {"iothub-app-a": "b"})
    peer.call("settle", device_id, "complete", "to-2")
    peer.call("close", device_id)


@pytest.mark.parametrize("kind", [*STREAMING, "Http"])
async def test_a_certificate_logs_a_device_in(
    peer: Peer, hub: RunningHub, operators: RestHubService, telemetry_of: Any, kind: str, tmp_path: Path, request: Any
) -> None:
    if kind not in ("Mqtt", "Amqp"):
        request.getfixturevalue("on_443")
    certificate, device_id = make_certificate("node"), f"x-{uuid.uuid4().hex[:8]}"
    thumbprint = {"primaryThumbprint": certificate.sha1, "secondaryThumbprint": certificate.sha1}
    authentication = {"type": "selfSigned", "x509Thumbprint": thumbprint}
    await operators.call("PUT", f"/devices/{device_id}", {"deviceId": device_id, "authentication": authentication})
    connection_string = f"HostName={hub.host};DeviceId={device_id};x509=true"
    peer.call("open", device_id, kind, connection_string, credentials(certificate, tmp_path))
    peer.call("send", device_id, {"body": "1"})
    peer.call("close", device_id)
    assert len(telemetry_of(device_id)) == 1


def credentials(certificate: TestCertificate, folder: Path) -> dict[str, str]:
    """The options by which the SDK is given a certificate."""
    paths = certificate.save(folder)
    return {name: Path(path).read_text() for name, path in zip(("cert", "key"), paths, strict=True)}


async def gone(operators: RestHubService, device_id: str) -> None:
    """Wait until no message waits for a device."""
    for _ in range(500):
        if (await operators.get_device(device_id))["cloudToDeviceMessageCount"] == 0:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("a message still waits")
