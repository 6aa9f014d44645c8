"""MQTT over WebSocket on the HTTPS port: raw clients everywhere, azure-iot-device where the port is 443."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.iot.device import X509, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient

from iot_core.mqtt import ConnAck, Connect, Decoder, PingReq, PingResp, PubAck, Publish, encode
from local_hub.ports import HTTPS_PORT
from tests.local_hub.device_certificates import make_certificate
from tests.local_hub.http_sessions import http_session

PATH = "/$iothub/websocket"


class SocketClient:
    """MQTT packets over a WebSocket of aiohttp's."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._decoder = Decoder(1 << 20)
        self._packets: list[Any] = []

    async def next(self) -> Any:
        while not self._packets:
            message = await self.socket.receive(timeout=10)
            assert message.type is aiohttp.WSMsgType.BINARY, message
            self._packets += self._decoder.feed(message.data)
        return self._packets.pop(0)

    async def log_in(self, device: Any, password: str | None = None) -> ConnAck:
        path = device.identity.path
        packet = Connect(
            client_id=path,
            username=f"{device.host}/{path}/?api-version=2021-04-12",
            password=(password or device.token()).encode(),
            clean_session=True,
            keep_alive=60,
        )
        await self.socket.send_bytes(encode(packet))
        answer = await self.next()
        assert isinstance(answer, ConnAck)
        return answer


@pytest.fixture
async def dial(hub: Any, eventually: Any) -> AsyncIterator[Callable[..., Any]]:
    """Opens a WebSocket."""
    sockets: list[Any] = []

    async def all_closed() -> bool:
        return all(socket.fileno() == -1 for socket in sockets)

    async with http_session() as session:

        async def connect(path: str = PATH, *, protocols: tuple[str, ...] = ("mqtt",), **options: Any) -> SocketClient:
            url = f"https://{hub.owner.host_name}{path}"
            opened = await session.ws_connect(url, protocols=protocols, ssl=hub.tls, **options)
            sockets.append(opened.get_extra_info("socket"))
            return SocketClient(opened)

        yield connect
    await eventually(all_closed)


@pytest.mark.parametrize(
    ("path", "protocols", "chosen"),
    [
        (PATH, ("mqtt",), "mqtt"),
        ("/$IoTHub/WebSocket", ("mqtt",), "mqtt"),
        ("/%24iothub/websocket/", ("MQTT",), "MQTT"),
        (f"{PATH}?iothub-no-client-cert=true", ("mqtt",), "mqtt"),
        (PATH, ("chat", "mqtt"), "mqtt"),
    ],
)
async def test_the_path_and_the_subprotocol_are_found_in_any_case(
    dial: Any, rest: Any, path: str, protocols: tuple[str, ...], chosen: str
) -> None:
    client = await dial(path, protocols=protocols)
    assert client.socket.protocol == chosen
    assert (await client.log_in(await rest.device())).code == 0
    await client.socket.close()


async def test_a_request_without_an_upgrade_is_told_to_send_one(rest: Any) -> None:
    answer = await rest.call("GET", PATH)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (426, "UpgradeRequired")


async def test_telemetry_is_acknowledged_and_seen(dial: Any, rest: Any, trace: Any) -> None:
    device = await rest.device()
    client = await dial()
    await client.log_in(device)
    topic = f"devices/{device.identity.device_id}/messages/events/room=1"
    async with trace(device.identity.device_id) as events:
        await client.socket.send_bytes(encode(Publish(topic=topic, payload=b"x" * 200_000, qos=1, packet_id=7)))
        event = await events.source("Telemetry")
    assert await client.next() == PubAck(packet_id=7)
    assert event["properties"] == {"room": "1"}
    await client.socket.close()


async def test_packets_may_be_cut_into_messages_anywhere(dial: Any, rest: Any) -> None:
    client = await dial()
    await client.log_in(await rest.device())
    for byte in encode(PingReq()) * 3:
        await client.socket.send_bytes(bytes([byte]))
    await client.socket.send_bytes(encode(PingReq()) * 3)
    assert [await client.next() for _ in range(6)] == [PingResp()] * 6
    await client.socket.close()


async def test_a_websocket_ping_is_answered(dial: Any) -> None:
    client = await dial(autoping=False)
    await client.socket.ping(b"are you there")
    message = await client.socket.receive(timeout=10)
    assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")
    await client.socket.close()


@pytest.mark.parametrize(("text", "code"), [(True, 1003), (False, 1000)])
async def test_text_and_what_is_not_mqtt_end_the_connection(dial: Any, text: bool, code: int) -> None:
    client = await dial()
    await (client.socket.send_str("hello") if text else client.socket.send_bytes(b"\xff" * 20))
    message = await client.socket.receive(timeout=10)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)


async def test_a_refused_log_in_gets_its_code_and_a_close(dial: Any, rest: Any) -> None:
    client = await dial()
    assert (await client.log_in(await rest.device(), password="wrong")).code == 5
    assert (await client.socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE


async def test_the_device_is_disconnected_when_its_websocket_goes(dial: Any, rest: Any, eventually: Any) -> None:
    device = await rest.device()
    client = await dial()
    await client.log_in(device)
    path = f"/devices/{device.identity.device_id}"
    assert (await rest.call("GET", path)).body["connectionState"] == "Connected"
    await client.socket.close()

    async def is_gone() -> bool:
        state: str = (await rest.call("GET", path)).body["connectionState"]
        return state == "Disconnected"

    await eventually(is_gone)


# -- azure-iot-device dials port 443 only

_SDK_WARNINGS = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def on_443(hub: Any) -> Any:
    if hub.running["http_port"] != HTTPS_PORT:
        pytest.skip("azure-iot-device over WebSocket needs port 443, which this user may not take")
    return hub


@_SDK_WARNINGS
async def test_the_sdk_works_over_websockets(on_443: Any, rest: Any) -> None:
    device = await rest.device()
    client = IoTHubDeviceClient.create_from_connection_string(
        device.connection_string, server_verification_cert=on_443.ca_file.read_text(), websockets=True
    )
    await client.connect()
    await client.send_message("x" * 100_000)
    await client.patch_twin_reported_properties({"over": "websocket"})
    assert (await client.get_twin())["reported"]["over"] == "websocket"

    async def answer(request: Any) -> None:
        await client.send_method_response(MethodResponse.create_from_method_request(request, 200, request.payload))

    client.on_method_request_received = answer
    body = {"methodName": "echo", "payload": 1, "connectTimeoutInSeconds": 5, "responseTimeoutInSeconds": 10}
    reply = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", body)
    await client.shutdown()
    assert reply.body == {"status": 200, "payload": 1}


@_SDK_WARNINGS
async def test_the_sdk_logs_in_with_a_certificate_over_websockets(on_443: Any, rest: Any, tmp_path: Path) -> None:
    certificate = make_certificate("over websocket")
    thumbprint = {"type": "selfSigned", "x509Thumbprint": {"secondaryThumbprint": certificate.sha256}}
    device = await rest.device(authentication=thumbprint)
    client = IoTHubDeviceClient.create_from_x509_certificate(
        X509(*certificate.save(tmp_path)),
        hostname=on_443.host,
        device_id=device.identity.device_id,
        server_verification_cert=on_443.ca_file.read_text(),
        websockets=True,
    )
    await asyncio.wait_for(client.connect(), 20)
    await client.send_message("{}")
    await client.shutdown()
