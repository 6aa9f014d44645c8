"""The provisioning service over MQTT, raw, in WebSocket frames: what the SDK's client never does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from iot_core import sas
from iot_core.connection_string import ConnectionString
from iot_core.mqtt import ConnAck, Connect, Decoder, PubAck, Publish, SubAck, Subscribe, encode
from local_hub.environment import hub_environment
from tests.local_hub.http_sessions import http_session

RESPONSES = "$dps/registrations/res/#"
REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=7"


class Device:
    """An enrolled device on a connection to the provisioning service."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, resource: str, key: str) -> None:
        self._socket = socket
        self._decoder = Decoder(1 << 20)
        self._packets: list[Any] = []
        self.resource, self.key = resource, key

    async def send(self, packet: Any) -> None:
        await self._socket.send_bytes(encode(packet))

    async def next(self) -> Any:
        """The next packet; None when the service has hung up."""
        while not self._packets:
            message = await self._socket.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return None
            self._packets += self._decoder.feed(message.data)
        return self._packets.pop(0)

    async def log_in(self, **changes: Any) -> int:
        """Connect and give the return code."""
        token = sas.sign(self.resource, self.key, int(time.time()) + 60, "registration")
        fields: dict[str, Any] = {
            "client_id": self.resource.rpartition("/")[2],
            "username": f"{self.resource}/api-version=2019-03-31&ClientVersion=test",
            "password": token.encode(),
        }
        await self.send(Connect(clean_session=False, keep_alive=30, **{**fields, **changes}))
        answer = await self.next()
        assert isinstance(answer, ConnAck)
        return answer.code


@pytest.fixture
async def device(hub: Any, rest: Any, eventually: Callable[..., Any]) -> AsyncIterator[Device]:
    variables, name = hub_environment(hub.home), f"sn-{uuid.uuid4().hex[:8]}"
    owner = sas.token_for(ConnectionString.parse(variables["DPS_CONNECTION_STRING"]), time.time())
    made = await rest.call("PUT", f"/enrollments/{name}", {"attestation": {"type": "symmetricKey"}}, token=owner)
    key = made.body["attestation"]["symmetricKey"]["primaryKey"]
    url = f"https://{hub.owner.host_name}/$iothub/websocket"
    async with (
        http_session() as session,
        session.ws_connect(url, protocols=["mqtt"], ssl=hub.tls) as opened,
    ):
        raw = opened.get_extra_info("socket")
        yield Device(opened, f"{variables['PROVISIONING_IDSCOPE']}/registrations/{name}", key)

    async def closed() -> bool:
        return bool(raw.fileno() == -1)

    await eventually(closed)


async def test_a_device_registers_and_asks_for_the_outcome(device: Device) -> None:
    assert await device.log_in() == 0
    await device.send(Subscribe(packet_id=1, filters=((RESPONSES, 2),)))
    assert await device.next() == SubAck(packet_id=1, codes=(1,))
    await device.send(Publish(topic=REGISTER, payload=b"{}", qos=1, packet_id=2))
    assert await device.next() == PubAck(packet_id=2)
    taken = await device.next()
    assert (taken.topic, taken.qos) == ("$dps/registrations/res/202/?$rid=7&retry-after=3", 1)
    operation = json.loads(taken.payload)["operationId"]
    topic = f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=8&operationId={operation}"
    await device.send(Publish(topic=topic, payload=b" ", qos=0, packet_id=0))
    done = await device.next()
    assert done.topic == "$dps/registrations/res/200/?$rid=8"
    assert json.loads(done.payload)["status"] == "assigned"


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"registrationId": "another"}'])
async def test_a_bad_body_is_answered_with_400(device: Device, payload: bytes) -> None:
    await device.log_in()
    await device.send(Subscribe(packet_id=1, filters=((RESPONSES, 0),)))
    await device.next()
    await device.send(Publish(topic=REGISTER, payload=payload, qos=0, packet_id=0))
    answer = await device.next()
    assert answer.topic == "$dps/registrations/res/400/?$rid=7"
    assert json.loads(answer.payload)["errorCode"] == 400000


@pytest.mark.parametrize(
    "packet",
    [
        Subscribe(packet_id=1, filters=(("$iothub/twin/res/#", 0),)),
        Publish(topic="devices/d/messages/events/", payload=b"", qos=0, packet_id=0),
        Publish(topic=REGISTER, payload=b"{}", qos=2, packet_id=1),
    ],
)
async def test_what_is_not_the_service_s_ends_the_connection(device: Device, packet: Any) -> None:
    await device.log_in()
    await device.send(packet)
    assert await device.next() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"password": None},
        {"password": b"SharedAccessSignature sr=x&sig=x&se=1"},
        {"username": "0neFFFFFFFF/registrations/x/api-version=2019-03-31"},
    ],
)
async def test_a_log_in_that_is_not_the_device_s_is_refused_with_5(device: Device, changes: dict[str, Any]) -> None:
    assert await device.log_in(**changes) == 5


def registration_of(device: Device) -> str:
    return device.resource.rpartition("/")[2]


async def test_a_throttle_fault_is_answered_429_with_a_time_to_wait(device: Device, fault: Any) -> None:
    assert await device.log_in() == 0
    await device.send(Subscribe(packet_id=1, filters=((RESPONSES, 0),)))
    await device.next()
    await fault("throttle", registration_of(device))
    await device.send(Publish(topic=REGISTER, payload=b"{}", qos=0))
    answer = await device.next()
    assert answer.topic == "$dps/registrations/res/429/?$rid=7&retry-after=3"
    assert json.loads(answer.payload)["errorCode"] == 429001


async def test_a_refuse_fault_refuses_the_log_in(device: Device, fault: Any) -> None:
    await fault("refuse", registration_of(device))
    assert await device.log_in() == 5


async def test_a_disconnect_fault_hangs_up_on_a_request(device: Device, fault: Any) -> None:
    assert await device.log_in() == 0
    await fault("disconnect", registration_of(device), forSeconds=60)
    await device.send(Publish(topic=REGISTER, payload=b"{}", qos=0))
    assert await device.next() is None


async def test_a_request_that_a_fault_drops_is_never_answered(device: Device, fault: Any, eventually: Any) -> None:
    assert await device.log_in() == 0
    await device.send(Subscribe(packet_id=1, filters=((RESPONSES, 0),)))
    await device.next()
    await fault("drop", registration_of(device), rate=1, forSeconds=0.5)
    status = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid={}&operationId=none"
    for number in range(100):
        await device.send(Publish(topic=status.format(number), qos=0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                answer = await device.next()
                break
    assert number > 0
    assert f"$rid={number}" in answer.topic
