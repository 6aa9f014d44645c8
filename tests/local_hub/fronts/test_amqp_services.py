"""Services over AMQP: azure-iot-hub (uamqp) where it is what people use, our own engine for what it does not do."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.iot.device.aio import IoTHubDeviceClient
from yarl import URL

from iot_core import sas
from iot_core.amqp import ACCEPTED, Message, Properties, Rejected
from iot_core.amqp.types import Timestamp
from iot_core.connection_string import ConnectionString
from local_hub.ports import HTTPS_PORT
from tests.local_hub.fronts.amqp_bench import connected, is_accepted, reason, service, text
from tests.local_hub.http_sessions import http_session
from transport.amqp_client import AmqpError

uamqp = pytest.importorskip("uamqp", reason="uamqp has wheels for x86-64 Linux only")
from azure.iot.hub import IoTHubRegistryManager  # noqa: E402

LOGINS = 100
FEEDBACK = "/messages/serviceBound/feedback"


@pytest.fixture
def trust(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """uamqp trusts what this variable names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(hub.ca_file))


def manager(hub: Any, **options: Any) -> Any:
    return IoTHubRegistryManager.from_connection_string(str(hub.owner), **options)


def to_device(found: Any, body: str, message_id: str = "m1", **properties: str) -> Message:
    to = f"/devices/{found.identity.device_id}/messages/devicebound"
    return text(
        body,
        properties=Properties(to=to, message_id=message_id, content_type="text/plain"),
        application_properties={name.replace("_", "-"): value for name, value in properties.items()},
    )


@pytest.mark.usefixtures("trust")
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
async def test_azure_iot_hub_logs_in_and_sends_a_hundred_times(hub: Any, rest: Any) -> None:
    found = await rest.device()
    name = found.identity.device_id
    received: list[Any] = []
    complete = asyncio.Event()

    async def take(message: Any) -> None:
        received.append(message)
        if len(received) == LOGINS:
            complete.set()

    client = IoTHubDeviceClient.create_from_connection_string(
        found.connection_string, server_verification_cert=hub.ca_file.read_text()
    )
    await client.connect()
    client.on_message_received = take
    service_clients: list[Any] = []

    def log_in_and_send(number: int) -> None:
        service_clients.append(manager(hub))
        service_clients[-1].send_c2d_message(name, f"{number}", {"contentType": "text/plain", "n": f"{number}"})

    for number in range(LOGINS):
        await asyncio.to_thread(log_in_and_send, number)
    await asyncio.wait_for(complete.wait(), 10)
    # uamqp waits a second for a thread of its own before it closes.
    with ThreadPoolExecutor(LOGINS) as closers:
        for service_client in service_clients:
            closers.submit(service_client.amqp_svc_client.disconnect_sync)
    await client.shutdown()
    assert [message.data for message in received] == [b"%d" % number for number in range(LOGINS)]
    assert (received[7].content_type, received[7].custom_properties) == ("text/plain", {"n": "7"})


@pytest.mark.usefixtures("trust")
async def test_azure_iot_hub_sends_over_websockets(hub: Any, rest: Any) -> None:
    if hub.running["http_port"] != HTTPS_PORT:
        pytest.skip("uamqp over WebSocket needs port 443, which this user may not take")
    found = await rest.device()

    def send() -> None:
        client = manager(hub, transport_type=uamqp.TransportType.AmqpOverWebsocket)
        client.send_c2d_message(found.identity.device_id, "over websocket", {})
        client.amqp_svc_client.disconnect_sync()

    await asyncio.to_thread(send)
    twin = await rest.call("GET", f"/devices/{found.identity.device_id}")
    assert twin.body["cloudToDeviceMessageCount"] == 1


@pytest.mark.usefixtures("trust")
async def test_azure_iot_hub_hears_that_a_device_is_unknown(hub: Any) -> None:
    with pytest.raises(Exception, match="C2D message send failure"):
        await asyncio.to_thread(lambda: manager(hub).send_c2d_message("nobody", "x", {}))


async def test_an_unknown_device_is_not_found(hub: Any, rest: Any) -> None:
    found = await rest.device()
    await rest.call("DELETE", f"/devices/{found.identity.device_id}", If_Match='"*"')
    async with await service(hub) as client:
        state = await (await client.sender("/messages/devicebound")).send(to_device(found, "x"))
    assert isinstance(state, Rejected)
    assert state.error is not None
    assert state.error.condition == "amqp:not-found"
    assert reason(state.error.description or "")["errorCode"] == 404001
    assert state.error.info is not None
    assert "com.microsoft:tracking-id" in state.error.info


async def test_the_fifty_first_message_is_over_the_limit(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with await service(hub) as client:
        sender = await client.sender("/messages/devicebound")
        states = [await sender.send(to_device(found, "x")) for _ in range(51)]
    assert all(is_accepted(state) for state in states[:50])
    assert isinstance(states[50], Rejected)
    assert states[50].error is not None
    assert states[50].error.condition == "amqp:resource-limit-exceeded"


@pytest.mark.parametrize(
    ("properties", "condition"),
    [
        (Properties(to="/devices/d/modules/m/messages/devicebound"), "com.microsoft:argument-error"),
        (Properties(), "com.microsoft:argument-error"),
        (None, "com.microsoft:argument-error"),
    ],
)
async def test_a_message_that_is_not_for_a_device_is_rejected(hub: Any, properties: Any, condition: str) -> None:
    async with await service(hub) as client:
        state = await (await client.sender("/messages/devicebound")).send(text("x", properties=properties))
    assert isinstance(state, Rejected)
    assert state.error is not None
    assert state.error.condition == condition


async def test_an_expiry_that_is_over_is_rejected(hub: Any, rest: Any) -> None:
    found = await rest.device()
    to = f"/devices/{found.identity.device_id}/messages/devicebound"
    properties = Properties(to=to, absolute_expiry_time=Timestamp(1000))
    async with await service(hub) as client:
        state = await (await client.sender("/messages/devicebound")).send(text("x", properties=properties))
    assert isinstance(state, Rejected)
    assert state.error is not None
    assert state.error.condition == "com.microsoft:argument-out-of-range"


async def test_feedback_comes_when_a_device_has_completed_a_message(own_hub: Any, rest_of: Any) -> None:
    hub = own_hub()
    rest = rest_of(hub)
    found = await rest.device()
    async with await service(hub) as client:
        sender = await client.sender("/messages/devicebound")
        assert is_accepted(await sender.send(to_device(found, "1", "m1", iothub_ack="full")))
        await complete_all(rest, found)
        # The first record of a hub makes a batch at once.
        receiver = await client.receiver(FEEDBACK)
        delivery = await receiver.receive()
        receiver.settle(delivery, ACCEPTED)
    message = delivery.message()
    [record] = json.loads(message.data)
    assert message.properties is not None
    assert message.properties.content_type == "application/vnd.microsoft.iothub.feedback.json"
    assert message.properties.user_id == b"local"
    assert (record["statusCode"], record["originalMessageId"]) == ("Success", "m1")
    assert record["deviceId"] == found.identity.device_id


async def complete_all(rest: Any, found: Any) -> None:
    path = f"/devices/{found.identity.device_id}/messages/deviceBound"
    while True:
        answer = await rest.call("GET", path, token=found.token())
        if answer.status != 200:
            return
        lock = answer.headers["ETag"].strip('"')
        assert (await rest.call("DELETE", f"{path}/{lock}", token=found.token())).status == 204


async def test_a_service_is_told_of_an_uploaded_file(hub: Any, rest: Any) -> None:
    found = await rest.device()
    path, token = f"/devices/{found.identity.device_id}/files", found.token()
    info = (await rest.call("POST", path, {"blobName": "log.txt"}, token=token)).body
    async with http_session() as session:
        blob = f"https://{info['hostName']}/{info['containerName']}/{info['blobName']}{info['sasToken']}"
        url, headers = URL(blob, encoded=True), {"x-ms-blob-type": "BlockBlob"}
        async with session.put(url, data=b"hello", headers=headers, ssl=hub.tls) as answer:
            assert answer.status == 201
    done = {"correlationId": info["correlationId"], "isSuccess": True, "statusCode": 200, "statusDescription": "OK"}
    assert (await rest.call("POST", f"{path}/notifications", done, token=token)).status == 204
    async with await service(hub) as client:
        receiver = await client.receiver("/messages/serviceBound/filenotifications")
        notification: dict[str, Any] = {}
        while notification.get("deviceId") != found.identity.device_id:
            delivery = await receiver.receive()
            receiver.settle(delivery, ACCEPTED)
            notification = json.loads(delivery.message().data)
    assert notification["blobName"] == f"{found.identity.device_id}/log.txt"
    assert notification["blobSizeInBytes"] == 5


@pytest.mark.parametrize("address", ["/messages/elsewhere", "/devices/d/somewhere", "", "/devices//twin", "$cbs/x"])
async def test_an_unknown_address_is_not_found(hub: Any, address: str) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError) as caught:
            await client.receiver(address)
    assert caught.value.condition == "amqp:not-found"


async def test_a_policy_without_service_connect_may_not_send(hub: Any) -> None:
    async with await connected(hub) as client:
        with pytest.raises(AmqpError) as caught:
            await client.sender("/messages/devicebound")
        assert caught.value.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize(
    "token",
    ["nonsense", "SharedAccessSignature sr=x&sig=eA%3D%3D&se=99999999999&skn=iothubowner"],
    ids=["malformed", "forged"],
)
async def test_a_bad_token_is_answered_401(hub: Any, token: str) -> None:
    async with await connected(hub) as client:
        with pytest.raises(AmqpError, match="401"):
            await client.put_token("x", token)


async def test_an_expired_token_is_answered_401(hub: Any) -> None:
    owner: ConnectionString = hub.owner
    async with await connected(hub) as client:
        with pytest.raises(AmqpError, match="401"):
            await client.put_token("x", sas.token_for(owner, time.time() - 7200))
