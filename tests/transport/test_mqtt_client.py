"""The MQTT client against our server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from iot_core.errors import LocalProtocolError, RemoteProtocolError
from iot_core.mqtt import (
    ConnAck,
    Connect,
    Decoder,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
)
from transport.mqtt_client import ConnectFailed, ConnectionLost, ConnectRefused, MqttClient
from transport.mqtt_server import MqttServerProtocol
from transport.tls import ServerContext, TlsError, tls_protocol_factory

TEST_HOST = "127.83.17.6"


class Mirror:
    """Sends every message back to its sender, and keeps what it hears."""

    def __init__(self) -> None:
        self.connects: list[Connect] = []
        self.puback: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        self.connects.append(packet)
        connection.accept(session_present=not packet.clean_session)

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        for packet in packets:
            connection.ack(packet.packet_id)
            connection.send(Publish(topic="back", payload=packet.payload, qos=packet.qos, packet_id=packet.packet_id))

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        codes = tuple(128 if name.startswith("secret") else min(qos, 1) for name, qos in packet.filters)
        connection.send(SubAck(packet_id=packet.packet_id, codes=codes))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        connection.send(UnsubAck(packet_id=packet.packet_id))

    def on_puback(self, _connection: MqttServerProtocol, packet_id: int) -> None:
        self.puback.set_result(packet_id)

    def on_disconnect(self, _connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        self.over.set_result((clean, reason))


@asynccontextmanager
async def mirror_server(mirror: Mirror) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: MqttServerProtocol(mirror), TEST_HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


Answer = Callable[[Packet], list[Packet] | bytes | None]


@asynccontextmanager
async def scripted_server(answer: Answer) -> AsyncIterator[int]:
    """A server that answers each packet as the script says; None hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for packet in decoder.feed(data):
                    if (reply := answer(packet)) is None:
                        return
                    writer.write(reply if isinstance(reply, bytes) else b"".join(map(encode, reply)))

    server = await asyncio.start_server(talk, TEST_HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def welcoming(answer: Answer) -> Answer:
    return lambda packet: [ConnAck()] if isinstance(packet, Connect) else answer(packet)


class Listener:
    """What a client tells its owner."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Publish] = asyncio.Queue()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.client = MqttClient(on_message=self.messages.put_nowait, on_disconnect=self.lost.set_result)


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[Listener]:
    listener = Listener()
    await listener.client.connect(TEST_HOST, port, client_id="d", **options)
    try:
        yield listener
    finally:
        await listener.client.close()


async def test_connect_sends_what_it_is_given() -> None:
    mirror = Mirror()
    will = Will(topic="w", payload=b"gone", qos=1)
    async with mirror_server(mirror) as port:
        client = MqttClient()
        present = await client.connect(
            TEST_HOST, port, client_id="d", username="u", password="p", keep_alive=10, will=will
        )
        assert present
        assert client.is_connected
        await client.close()
        assert not client.is_connected
    wanted = Connect(client_id="d", clean_session=False, keep_alive=10, username="u", password=b"p", will=will)
    assert mirror.connects == [wanted]
    assert await mirror.over == (True, "the client disconnected")


async def test_messages_go_and_come() -> None:
    mirror = Mirror()
    async with mirror_server(mirror) as port, connected(port, clean_session=True) as listener:
        assert await listener.client.subscribe("back", "secret/#") == (1, 128)
        await listener.client.publish("up", b"one")
        assert await listener.messages.get() == Publish(topic="back", payload=b"one", qos=1, packet_id=2)
        assert await mirror.puback == 2
        await listener.client.publish("up", b"two", qos=0)
        assert (await listener.messages.get()).payload == b"two"
        await listener.client.unsubscribe("back")


async def test_many_messages_can_be_in_flight() -> None:
    def answer(packet: Packet) -> list[Packet]:
        waiting.extend(packet.packet_id for _ in [0] if isinstance(packet, Publish))
        return [PubAck(packet_id=number) for number in reversed(waiting)] if len(waiting) == 100 else []

    waiting: list[int] = []
    async with scripted_server(welcoming(answer)) as port, connected(port) as listener:
        sent = [listener.client.publish_nowait("t", b"%d" % number) for number in range(100)]
        await asyncio.gather(*sent)
        assert waiting == list(range(1, 101))


async def test_packet_ids_in_flight_are_never_used_again() -> None:
    seen: list[int] = []

    def answer(packet: Packet) -> list[Packet]:
        assert isinstance(packet, Publish)
        seen.append(packet.packet_id)
        return [] if packet.packet_id == 1 else [PubAck(packet_id=packet.packet_id)]

    async with scripted_server(welcoming(answer)) as port, connected(port) as listener:
        first = listener.client.publish_nowait("t", b"")
        for _batch in range(66):
            await asyncio.gather(*(listener.client.publish_nowait("t", b"") for _ in range(1000)))
        assert seen.count(1) == 1
        assert seen.count(2) == 2
        first.cancel()


async def test_what_mqtt_forbids_is_refused_before_it_is_sent() -> None:
    async with mirror_server(Mirror()) as port, connected(port) as listener:
        for publish in (("a/#", 1), ("t", 2)):
            with pytest.raises(LocalProtocolError):
                await listener.client.publish(publish[0], b"", publish[1])
        with pytest.raises(LocalProtocolError):
            await listener.client.subscribe("a#")
        with pytest.raises(LocalProtocolError, match="connected already"):
            await listener.client.connect(TEST_HOST, port, client_id="d")
        await listener.client.publish("t", b"still fine")


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 77])
async def test_a_refusal_is_an_error_with_its_code(code: int) -> None:
    async with scripted_server(lambda _packet: [ConnAck(code=code)]) as port:
        client = MqttClient()
        with pytest.raises(ConnectRefused) as caught:
            await client.connect(TEST_HOST, port, client_id="d", username="u", password="s3cret")
        assert caught.value.code == code
        assert "s3cret" not in str(caught.value)
        assert not client.is_connected


async def test_a_server_that_hangs_up_before_its_answer_is_an_error() -> None:
    async with scripted_server(lambda _packet: None) as port:
        with pytest.raises(ConnectionLost):
            await MqttClient().connect(TEST_HOST, port, client_id="d")


async def test_a_server_that_never_answers_is_an_error() -> None:
    async with scripted_server(lambda _packet: []) as port:
        with pytest.raises(ConnectFailed, match="no answer from"):
            await MqttClient().connect(TEST_HOST, port, client_id="d", time_limit=0.05)


async def test_nobody_there_is_an_error() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, TEST_HOST, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectFailed, match="cannot reach"):
        await MqttClient().connect(TEST_HOST, port, client_id="d")


async def test_a_lost_connection_fails_everyone_who_waits() -> None:
    hang_up = welcoming(lambda packet: None if isinstance(packet, Subscribe) else [])
    async with scripted_server(hang_up) as port, connected(port) as listener:
        sent = listener.client.publish_nowait("t", b"")
        with pytest.raises(ConnectionLost):
            await listener.client.subscribe("a")
        with pytest.raises(ConnectionLost):
            await sent
        assert isinstance(await listener.lost, ConnectionLost)
        with pytest.raises(ConnectionLost, match="not connected"):
            await listener.client.publish("t", b"")


async def test_closing_fails_what_is_in_flight_and_is_no_loss() -> None:
    async with scripted_server(welcoming(lambda _packet: [])) as port, connected(port) as listener:
        sent = listener.client.publish_nowait("t", b"")
        await listener.client.close()
        with pytest.raises(ConnectionLost, match="was closed"):
            await sent
        assert await listener.lost is None


@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x00",
        encode(PingReq()),
        encode(ConnAck()),
        encode(Publish(topic="t", qos=2, packet_id=1)),
        b"\x30\xff\xff\x7f",
    ],
)
async def test_a_server_that_breaks_the_protocol_is_left(bad: bytes) -> None:
    breaking = welcoming(lambda packet: bad if isinstance(packet, Publish) else [])
    async with scripted_server(breaking) as port, connected(port) as listener:
        with pytest.raises(RemoteProtocolError):
            await listener.client.publish("t", b"")
        assert isinstance(await listener.lost, RemoteProtocolError)


async def test_good_answers_before_a_bad_one_count() -> None:
    breaking = welcoming(lambda packet: encode(PubAck(packet_id=1)) + b"\x00\x00")
    async with scripted_server(breaking) as port, connected(port) as listener:
        await listener.client.publish("t", b"")
        assert isinstance(await listener.lost, RemoteProtocolError)


async def test_a_client_can_connect_again_after_its_connection_ended() -> None:
    lost: asyncio.Queue[Exception | None] = asyncio.Queue()
    client = MqttClient(on_disconnect=lost.put_nowait)
    async with scripted_server(welcoming(lambda _packet: [PubAck(packet_id=1)])) as port:
        for _time in range(2):
            await client.connect(TEST_HOST, port, client_id="d")
            await client.publish("t", b"")
            client.abort()
            assert isinstance(await lost.get(), ConnectionLost)


async def test_an_abort_is_not_a_clean_end() -> None:
    mirror = Mirror()
    async with mirror_server(mirror) as port, connected(port) as listener:
        listener.client.abort()
        assert isinstance(await listener.lost, ConnectionLost)
        assert (await mirror.over)[0] is False


async def test_pings_go_out_when_it_is_quiet() -> None:
    pinged = asyncio.Event()

    def answer(packet: Packet) -> list[Packet]:
        if isinstance(packet, PingReq):
            pinged.set()
            return [PingResp()]
        return []

    async with scripted_server(welcoming(answer)) as port, connected(port, keep_alive=1) as listener:
        await pinged.wait()
        assert listener.client.is_connected


async def test_a_dead_server_is_noticed() -> None:
    async with scripted_server(welcoming(lambda _packet: [])) as port, connected(port, keep_alive=1) as listener:
        cause = await listener.lost
        assert isinstance(cause, ConnectionLost)
        assert "silent" in str(cause)


async def test_a_failing_callback_ends_the_connection() -> None:
    lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def fail(_packet: Publish) -> None:
        raise ValueError("a bug in the application")

    async with mirror_server(Mirror()) as port:
        client = MqttClient(on_message=fail, on_disconnect=lost.set_result)
        await client.connect(TEST_HOST, port, client_id="d")
        client.publish_nowait("t", b"", qos=0)
        assert "a bug in the application" in str(await lost)


async def test_a_publisher_waits_while_the_server_does_not_read() -> None:
    release = asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(ConnAck()))
        await release.wait()
        while await reader.read(1 << 20):
            pass
        writer.close()

    server = await asyncio.start_server(read_late, TEST_HOST, 0)
    async with connected(server.sockets[0].getsockname()[1]) as listener:
        publisher = asyncio.create_task(publish_much(listener.client))
        done, _waiting = await asyncio.wait([publisher], timeout=0.2)
        assert not done
        release.set()
        await publisher
    server.close()


async def publish_much(client: MqttClient) -> None:
    for _message in range(200):
        await client.publish("t", bytes(100_000), qos=0)
        await asyncio.sleep(0)


async def test_tls_on_both_sides(yard: Any) -> None:
    mirror = Mirror()
    context = ServerContext(yard.certificate_path, yard.key_path)
    factory = tls_protocol_factory(context, lambda: MqttServerProtocol(mirror))
    server = await asyncio.get_running_loop().create_server(factory, yard.host, 0)
    port = server.sockets[0].getsockname()[1]
    listener = Listener()
    await listener.client.connect(yard.host, port, client_id="d", ssl=yard.client_context())
    await listener.client.publish("t", bytes(200_000))
    assert len((await listener.messages.get()).payload) == 200_000
    await listener.client.close()
    assert (await mirror.over)[0]
    with pytest.raises(TlsError):
        await listener.client.connect(
            yard.host, port, client_id="d", ssl=yard.client_context(), server_hostname="other.example"
        )
    server.close()
