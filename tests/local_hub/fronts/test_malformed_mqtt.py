"""What is no MQTT, or MQTT that no client may send, is answered or hung up on, and the hub goes on serving others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iot_core.mqtt import (
    NOT_AUTHORIZED,
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    encode,
)
from transport.mqtt_client import MqttClient

ACCEPTED = encode(ConnAck())
STRANGER = encode(Connect(client_id="nobody", username="h/nobody/?api-version=2021-04-12", password=b"x"))
REFUSED = encode(ConnAck(code=NOT_AUTHORIZED))
TELEMETRY = encode(Publish(topic="devices/nobody/messages/events/", payload=b"x", qos=1, packet_id=1))
LIMIT = 256 * 1024 + 65535 + 16
"""Bytes of the longest packet that the hub reads."""
PADDING = bytes(LIMIT + 4)
"""Behind anything: fills up the longest packet that the hub waits for, and breaks the protocol after it."""
SOMEBODY = "d-00000000"
"""In the corpus, the id of the device that sends it."""

Garbage = dict[str, tuple[bytes, bytes]]

STRANGERS: Garbage = {
    "nothing but zeros": (bytes(4096), b""),
    "every byte": (bytes(range(256)), b""),
    "http": (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b""),
    "amqp": (b"AMQP\x03\x01\x00\x00", b""),
    "tls inside tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), b""),
    "remaining length of five bytes": (b"\x10\xff\xff\xff\xff\x7f", b""),
    "connect of 256 MB": (b"\x10\xff\xff\xff\x7f", b""),
    "connect one byte beyond the limit": (b"\x10" + bytes([LIMIT % 128 | 128, LIMIT // 128 % 128 | 128, 23]), b""),
    "publish of 256 MB": (b"\x30\xff\xff\xff\x7f" + bytes(1024), b""),
    "connect without a body": (b"\x10\x00", b""),
    "connect of another protocol": (bytes.fromhex("10 0d 0004 58585858 04 02 0000 0001 64"), b""),
    "connect of version 3.1": (bytes.fromhex("10 0f 0006 4d5149736470 03 02 0000 0001 64"), encode(ConnAck(code=1))),
    "connect of version 5": (bytes.fromhex("10 0e 0004 4d515454 05 02 0000 00 0001 64"), encode(ConnAck(code=1))),
    "connect with the reserved flag": (bytes.fromhex("10 0d 0004 4d515454 04 03 0000 0001 64"), b""),
    "connect with a client id that is not UTF-8": (bytes.fromhex("10 0d 0004 4d515454 04 02 0000 0001 ff"), b""),
    "connect with a client id that promises more": (bytes.fromhex("10 0d 0004 4d515454 04 02 0000 ffff 64"), b""),
    "publish before connect": (TELEMETRY, b""),
    "subscribe before connect": (encode(Subscribe(packet_id=1, filters=(("#", 1),))), b""),
    "ping before connect": (encode(PingReq()), b""),
    "disconnect before connect": (encode(Disconnect()), b""),
    "puback before connect": (encode(PubAck(packet_id=1)), b""),
    "publish behind a refused connect": (STRANGER + TELEMETRY * 100, REFUSED),
    "connect twice": (STRANGER + STRANGER, REFUSED),
    "client id of 64 KB": (encode(Connect(client_id="c" * 65_535, username="h/d", password=b"x")), REFUSED),
    "user name of 64 KB": (encode(Connect(client_id="d", username="/" * 65_535, password=b"x")), REFUSED),
    "password of 64 KB": (encode(Connect(client_id="d", username="h/d", password=b"\xff" * 65_535)), REFUSED),
}
"""What a client sends before it has logged in, and all that the hub says before it hangs up."""

LOGGED_IN: dict[str, bytes] = {
    "connect again": STRANGER,
    "garbage": b"\xff" * 64,
    "zeros": bytes(64),
    "packets of servers": b"".join(
        encode(packet) for packet in (SubAck(packet_id=1, codes=(1,)), UnsubAck(packet_id=1), PingResp(), ConnAck())
    ),
    "packet type 0": b"\x00\x00",
    "publish of quality 3": bytes.fromhex("36 05 0001 61 0001"),
    "publish with packet id 0": bytes.fromhex("32 05 0001 61 0000"),
    "publish to a topic with a wildcard": bytes.fromhex("30 03 0001 23"),
    "publish to a topic with U+0000": bytes.fromhex("30 03 0001 00"),
    "publish to a topic of 64 KB": encode(Publish(topic="t" * 65_535)),
    "publish to a device's topic of 64 KB": encode(Publish(topic="devices/" + "d" * 60_000 + "/messages/events/")),
    "publish to an empty level thirty thousand deep": encode(Publish(topic="/" * 30_000)),
    "publish with a bad escape in a property": encode(
        Publish(topic=f"devices/{SOMEBODY}/messages/events/%ff=%fe&%24.mid=%80")
    ),
    "publish of 256 MB": b"\x30\xff\xff\xff\x7f" + bytes(1024),
    "publish with a topic longer than the packet": bytes.fromhex("30 03 0005 61"),
    "pubrel of nothing": bytes.fromhex("62 02 0001"),
    "pubrec of nothing": bytes.fromhex("50 02 0001"),
    "subscribe without its flags": bytes.fromhex("80 06 0001 0001 61 01"),
    "subscribe to nothing": bytes.fromhex("82 02 0001"),
    "subscribe to a filter of 64 KB": encode(Subscribe(packet_id=1, filters=(("f" * 65_535, 1),))),
    "subscribe to three thousand filters": encode(Subscribe(packet_id=1, filters=(("f", 1),) * 3_000)),
    "unsubscribe from nothing": bytes.fromhex("a2 02 0001"),
    "twin request without an id": encode(Publish(topic="$iothub/twin/GET/")),
    "twin request to nowhere": encode(Publish(topic="$iothub/twin/DELETE/?$rid=1")),
}
"""What ends the connection of a device that has logged in."""

UNHARMED: dict[str, bytes] = {
    "unsubscribe from what was never asked for": encode(Unsubscribe(packet_id=9, filters=("a", "$iothub/twin/res/#"))),
    "puback of nothing": encode(PubAck(packet_id=7)),
    "answer to no method call": encode(Publish(topic="$iothub/methods/res/200/?$rid=7", payload=b"{}")),
    "twin patch that is no JSON": encode(
        Publish(topic="$iothub/twin/PATCH/properties/reported/?$rid=1", payload=b"\xff{")
    ),
    "twin patch a hundred thousand deep": encode(
        Publish(topic="$iothub/twin/PATCH/properties/reported/?$rid=1", payload=b'{"a":' * 40_000)
    ),
    "twin patch with half a surrogate": encode(
        Publish(topic="$iothub/twin/PATCH/properties/reported/?$rid=1", payload=b'{"a": "\\ud800"}')
    ),
    "ten thousand pings": encode(PingReq()) * 10_000,
}
"""Nonsense that the protocol allows."""


@asynccontextmanager
async def dialled(hub: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TLS connection to the MQTT port that has said nothing yet."""
    reader, writer = await asyncio.open_connection(hub.host, 8883, ssl=hub.tls)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def rest_of_answer(reader: asyncio.StreamReader) -> bytes:
    """What the hub says until it hangs up."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 10)
    return b""


def login(device: Any) -> bytes:
    path = device.identity.path
    username = f"{device.host}/{path}/?api-version=2021-04-12"
    return encode(Connect(client_id=path, username=username, password=device.token().encode()))


@asynccontextmanager
async def logged_in(hub: Any, device: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with dialled(hub) as (reader, writer):
        writer.write(login(device))
        assert await asyncio.wait_for(reader.readexactly(4), 10) == ACCEPTED
        yield reader, writer


@pytest.fixture
async def healthy(hub: Any, rest: Any) -> AsyncIterator[None]:
    """A device that is connected before the test goes on unharmed after it, and a new one can come in."""
    witness, lost = await rest.device(), asyncio.Event()
    client = MqttClient(on_disconnect=lambda _cause: lost.set())
    await connect(client, hub, witness)
    yield
    assert not lost.is_set()
    await client.publish(f"devices/{witness.identity.device_id}/messages/events/", b"still here")
    newcomer = MqttClient()
    await connect(newcomer, hub, await rest.device())
    await newcomer.close()
    await client.close()


async def connect(client: MqttClient, hub: Any, device: Any) -> None:
    path = device.identity.path
    username = f"{device.host}/{path}/?api-version=2021-04-12"
    await client.connect(hub.host, 8883, client_id=path, username=username, password=device.token(), ssl=hub.tls)


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", STRANGERS)
async def test_a_stranger_is_told_what_the_standard_says_and_hung_up_on(hub: Any, name: str) -> None:
    sent, answer = STRANGERS[name]
    async with dialled(hub) as (reader, writer):
        writer.write(sent if answer else sent + PADDING)
        assert await rest_of_answer(reader) == answer


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", LOGGED_IN)
async def test_a_device_that_breaks_the_protocol_is_hung_up_on(hub: Any, rest: Any, name: str) -> None:
    device = await rest.device()
    async with logged_in(hub, device) as (reader, writer):
        assert len(device.identity.device_id) == len(SOMEBODY)
        writer.write(LOGGED_IN[name].replace(SOMEBODY.encode(), device.identity.device_id.encode()))
        assert await rest_of_answer(reader) == b""


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", UNHARMED)
async def test_nonsense_that_the_protocol_allows_harms_nothing(hub: Any, rest: Any, name: str) -> None:
    async with logged_in(hub, await rest.device()) as (reader, writer):
        writer.write(UNHARMED[name] + encode(PingReq()))
        async with asyncio.timeout(10):
            await reader.readuntil(encode(PingResp()))


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("part", [1, 7, 20, 60])
async def test_a_packet_that_comes_in_parts_is_whole_in_the_end(hub: Any, rest: Any, part: int) -> None:
    packet = login(await rest.device())
    async with dialled(hub) as (reader, writer):
        for start in range(0, len(packet), part):
            writer.write(packet[start : start + part])
            await writer.drain()
        assert await asyncio.wait_for(reader.readexactly(4), 10) == ACCEPTED


@pytest.mark.usefixtures("healthy")
async def test_a_packet_that_is_cut_off_is_not_taken(hub: Any, rest: Any, trace: Any) -> None:
    device = await rest.device()
    topic = f"devices/{device.identity.device_id}/messages/events/"
    async with trace(device.identity.device_id) as events:
        async with logged_in(hub, device) as (_, writer):
            writer.write(encode(Publish(topic=topic, payload=b"cut", qos=1, packet_id=1))[:-1])
            await writer.drain()
        async with logged_in(hub, device) as (_, writer):
            writer.write(encode(Publish(topic=topic, payload=b"whole", qos=1, packet_id=1)))
            assert (await events.source("Telemetry"))["body"] == "whole"


@pytest.mark.usefixtures("healthy")
async def test_clients_that_never_finish_do_not_keep_others_out(hub: Any, rest: Any) -> None:
    """Half-open in TCP, in TLS and in MQTT, a hundred of each; when each is dropped, see test_slow_mqtt."""
    device, loop = await rest.device(), asyncio.get_running_loop()
    with_hello = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), with_hello, server_hostname="h")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    client_hello = with_hello.read()
    async with AsyncExitStack() as stack:
        for _ in range(100):
            silent = stack.enter_context(socket.create_connection((hub.host, 8883)))
            half = stack.enter_context(socket.create_connection((hub.host, 8883)))
            for one in (silent, half):
                one.setblocking(False)
            await loop.sock_sendall(half, client_hello[:100])
            _, writer = await stack.enter_async_context(dialled(hub))
            writer.write(STRANGER[:-1])
        client = MqttClient()
        await connect(client, hub, device)
        await client.publish(f"devices/{device.identity.device_id}/messages/events/", b"served")
        await client.close()


FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(min_size=1, max_size=300))
async def test_random_bytes_are_never_let_in(hub: Any, data: bytes) -> None:
    async with dialled(hub) as (reader, writer):
        writer.write(data + PADDING)
        assert not (await rest_of_answer(reader)).startswith(ACCEPTED)


@FUZZ
@given(index=st.integers(min_value=0, max_value=10_000), change=st.integers(min_value=1, max_value=255))
@pytest.mark.usefixtures("healthy")
async def test_a_login_with_any_byte_changed_gets_an_answer_or_none(
    hub: Any, rest: Any, index: int, change: int
) -> None:
    packet = bytearray(login(await rest.device()))
    packet[index % len(packet)] ^= change
    async with dialled(hub) as (reader, writer):
        writer.write(bytes(packet) + encode(Disconnect()) + PADDING)
        assert len(await rest_of_answer(reader)) in (0, len(ACCEPTED))


PACKETS = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda topic, body: encode(Publish(topic=topic, payload=body)),
        st.text("abc/$?=&%{}", min_size=1),
        st.binary(max_size=40),
    ),
    st.sampled_from([*LOGGED_IN.values(), *UNHARMED.values()]),
)


@FUZZ
@given(parts=st.lists(PACKETS, max_size=4))
@pytest.mark.usefixtures("healthy")
async def test_a_device_that_sends_anything_is_served_again_when_it_comes_back(
    hub: Any, rest: Any, parts: list[bytes]
) -> None:
    device = await rest.device()
    async with logged_in(hub, device) as (reader, writer):
        writer.write(b"".join(parts) + PADDING)
        await rest_of_answer(reader)
    async with logged_in(hub, device) as (reader, writer):
        writer.write(encode(PingReq()))
        assert await asyncio.wait_for(reader.readexactly(2), 10) == encode(PingResp())
