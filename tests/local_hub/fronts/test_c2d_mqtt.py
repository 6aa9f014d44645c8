"""Cloud-to-device messages over MQTT, with a client that does just what a test says and with azure-iot-device."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from azure.iot.device.aio import IoTHubDeviceClient

from iot_core.clock import iso
from iot_core.mqtt import Publish
from iot_core.topics import devicebound_filter
from transport.mqtt_client import MqttClient

# paho-mqtt, inside the SDK, leaves its wake-up sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")

Send = Callable[..., Awaitable[dict[str, Any]]]


class Listener:
    """A device that keeps what it gets; while ``deaf`` it hangs up instead of acknowledging."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Publish] = asyncio.Queue()
        self.deaf = False
        self.mqtt = MqttClient(on_message=self._take)
        self.session_present = False

    def _take(self, packet: Publish) -> None:
        self.received.put_nowait(packet)
        if self.deaf:
            raise ConnectionAbortedError

    async def connect(self, hub: Any, device: Any, *, clean: bool = False) -> Listener:
        path = device.identity.path
        self.session_present = await self.mqtt.connect(
            hub.host,
            8883,
            client_id=path,
            username=f"{device.host}/{path}/?api-version=2021-04-12",
            password=device.token(),
            clean_session=clean,
            ssl=hub.tls,
        )
        return self

    async def subscribe(self, device: Any, qos: int = 1) -> None:
        assert await self.mqtt.subscribe(devicebound_filter(device.identity), qos=qos) == (qos,)

    async def take(self) -> Publish:
        return await asyncio.wait_for(self.received.get(), 10)

    async def take_bodies(self, count: int) -> list[bytes]:
        return [(await self.take()).payload for _ in range(count)]


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[Listener]]]:
    """Connects a device."""
    listeners: list[Listener] = []

    async def connect(hub: Any, device: Any, **options: Any) -> Listener:
        listeners.append(Listener())
        return await listeners[-1].connect(hub, device, **options)

    yield connect
    for listener in listeners:
        await listener.mqtt.close()


@pytest.fixture
def queue_of(rest: Any) -> Callable[[Any], Awaitable[int]]:
    """How many messages a device has that have not ended."""

    async def count(device: Any) -> int:
        answer = await rest.call("GET", f"/devices/{device.identity.device_id}")
        return int(answer.body["cloudToDeviceMessageCount"])

    return count


async def test_the_topic_carries_the_properties_as_the_service_writes_them(
    hub: Any, rest: Any, listen: Any, send_c2d: Send
) -> None:
    device = await rest.device()
    client = await listen(hub, device)
    await client.subscribe(device)
    given = {"messageId": "m/1", "correlationId": "c", "ack": "full", "properties": {"prop": "a b/c&d", "flag": None}}
    await send_c2d(hub, device, "hi", **given)
    packet = await client.take()
    name = device.identity.device_id
    assert packet.topic == (
        f"devices/{name}/messages/devicebound/%24.mid=m%2F1&%24.to=%2Fdevices%2F{name}%2Fmessages%2FdeviceBound"
        "&%24.cid=c&iothub-ack=full&prop=a%20b%2Fc%26d&flag"
    )
    assert (packet.payload, packet.qos) == (b"hi", 1)


async def test_an_acknowledged_message_is_completed(
    hub: Any, rest: Any, listen: Any, send_c2d: Send, eventually: Any, queue_of: Any
) -> None:
    device = await rest.device()
    client = await listen(hub, device)
    await client.subscribe(device)
    await send_c2d(hub, device, "1")
    await client.take()

    async def empty() -> bool:
        return await queue_of(device) == 0

    await eventually(empty)


async def test_a_subscription_without_acknowledgements_completes_by_sending(
    hub: Any, rest: Any, listen: Any, send_c2d: Send, eventually: Any, queue_of: Any
) -> None:
    device = await rest.device()
    client = await listen(hub, device)
    await client.subscribe(device, qos=0)
    await send_c2d(hub, device, "1")
    assert (await client.take()).qos == 0

    async def empty() -> bool:
        return await queue_of(device) == 0

    await eventually(empty)


@pytest.mark.parametrize("clean", [False, True])
async def test_what_waited_comes_on_subscribe_in_order(
    hub: Any, rest: Any, listen: Any, send_c2d: Send, clean: bool
) -> None:
    device = await rest.device()
    for number in range(20):
        await send_c2d(hub, device, str(number))
    client = await listen(hub, device, clean=clean)
    await client.subscribe(device)
    assert await client.take_bodies(20) == [b"%d" % number for number in range(20)]


async def test_a_kept_session_gets_what_waited_without_subscribing_again(
    hub: Any, rest: Any, listen: Any, send_c2d: Send
) -> None:
    device = await rest.device()
    first = await listen(hub, device)
    await first.subscribe(device)
    await first.mqtt.close()
    await send_c2d(hub, device, "while away")
    second = await listen(hub, device)
    assert second.session_present
    assert await second.take_bodies(1) == [b"while away"]


async def test_what_was_not_acknowledged_comes_again_after_a_reconnect(
    hub: Any, rest: Any, listen: Any, send_c2d: Send
) -> None:
    device = await rest.device()
    first = await listen(hub, device)
    await first.subscribe(device)
    first.deaf = True
    await send_c2d(hub, device, "1")
    assert await first.take_bodies(1) == [b"1"]
    await send_c2d(hub, device, "2")
    second = await listen(hub, device)
    assert await second.take_bodies(2) == [b"1", b"2"]


async def test_a_connection_that_takes_over_takes_the_messages_too(
    hub: Any, rest: Any, listen: Any, send_c2d: Send
) -> None:
    device = await rest.device()
    first = await listen(hub, device)
    await first.subscribe(device)
    second = await listen(hub, device)
    await send_c2d(hub, device, "1")
    assert await second.take_bodies(1) == [b"1"]
    assert first.received.empty()


async def test_an_unsubscribed_device_gets_nothing_and_the_queue_keeps_it(
    hub: Any, rest: Any, listen: Any, send_c2d: Send, queue_of: Any
) -> None:
    device = await rest.device()
    client = await listen(hub, device)
    await client.subscribe(device)
    await client.mqtt.unsubscribe(devicebound_filter(device.identity))
    await send_c2d(hub, device, "1")
    await client.mqtt.publish(f"devices/{device.identity.device_id}/messages/events/", b"x")
    assert (client.received.empty(), await queue_of(device)) == (True, 1)


async def test_a_killed_hub_has_every_message_it_had_taken(own_hub: Any, rest_of: Any, send_c2d: Send) -> None:
    hub = own_hub()
    device = await rest_of(hub).device()
    taken = await asyncio.gather(*(send_c2d(hub, device, str(number)) for number in range(30)))
    order = sorted(range(30), key=lambda number: taken[number]["sequenceNumber"])
    hub.process.kill()
    hub.process.wait()
    hub.process.returncode = 0  # the fixture expects a clean end, which this one is not meant to be
    hub = await asyncio.to_thread(own_hub)
    client = await Listener().connect(hub, device)
    await client.subscribe(device)
    assert await client.take_bodies(30) == [b"%d" % number for number in order]
    await client.mqtt.close()


# -- azure-iot-device, unmodified


class SdkDevice:
    """A device of the SDK and the messages it was given."""

    def __init__(self, hub: Any, device: Any) -> None:
        self.client = IoTHubDeviceClient.create_from_connection_string(
            device.connection_string, server_verification_cert=hub.ca_file.read_text()
        )
        self.received: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(self) -> None:
        await self.client.connect()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()

        async def take(message: Any) -> None:
            # The SDK calls handlers on a loop of its own.
            loop.call_soon_threadsafe(self.received.put_nowait, message)

        self.client.on_message_received = take

    async def take(self) -> Any:
        return await asyncio.wait_for(self.received.get(), 10)


@pytest.fixture
async def sdk(hub: Any) -> AsyncIterator[Callable[[Any], Awaitable[SdkDevice]]]:
    devices: list[SdkDevice] = []

    async def connect(device: Any) -> SdkDevice:
        devices.append(SdkDevice(hub, device))
        await devices[-1].connect()
        await devices[-1].listen()
        return devices[-1]

    yield connect
    for device in devices:
        await device.client.shutdown()


@pytest.mark.acceptance
async def test_the_sdk_gets_a_message_with_all_of_its_properties(hub: Any, rest: Any, sdk: Any, send_c2d: Send) -> None:
    device = await rest.device()
    client = await sdk(device)
    given = {
        "messageId": "m 1",
        "correlationId": "c/1",
        "userId": "u",
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "expiryTimeUtc": (expiry := iso(time.time() + 3600)),
        "ack": "full",
    }
    await send_c2d(hub, device, '{"a": 1}', properties={"room": "a b/c&d=ü"}, **given)
    message = await client.take()
    assert message.data == b'{"a": 1}'
    assert message.custom_properties == {"room": "a b/c&d=ü"}
    assert (message.message_id, message.correlation_id, message.user_id) == ("m 1", "c/1", "u")
    assert (message.content_type, message.content_encoding, message.ack) == ("application/json", "utf-8", "full")
    assert message.expiry_time_utc == expiry


@pytest.mark.acceptance
async def test_the_sdk_gets_what_waited_before_it_connected(hub: Any, rest: Any, sdk: Any, send_c2d: Send) -> None:
    device = await rest.device()
    for number in range(5):
        await send_c2d(hub, device, str(number))
    client = await sdk(device)
    assert [(await client.take()).data for _ in range(5)] == [b"%d" % number for number in range(5)]


@pytest.mark.acceptance
async def test_the_sdk_gets_what_came_while_it_was_away_once_and_in_order(
    hub: Any, rest: Any, sdk: Any, send_c2d: Send, eventually: Any, queue_of: Any
) -> None:
    device = await rest.device()
    client = await sdk(device)
    await send_c2d(hub, device, "0")
    assert (await client.take()).data == b"0"
    await client.client.disconnect()
    for number in range(1, 4):
        await send_c2d(hub, device, str(number))
    await client.client.connect()
    assert [(await client.take()).data for _ in range(3)] == [b"1", b"2", b"3"]

    async def empty() -> bool:
        return await queue_of(device) == 0

    await eventually(empty)
    assert client.received.empty()
