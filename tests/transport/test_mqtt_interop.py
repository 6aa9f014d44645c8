"""paho-mqtt, which azure-iot-device stands on, over TLS against our server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho

from iot_core.mqtt import Connect, Publish, SubAck, Subscribe, UnsubAck, Unsubscribe
from transport.mqtt_server import MqttServerProtocol
from transport.tls import ServerContext, tls_protocol_factory

WAIT_SECONDS = 10


class Switchboard:
    """Sends what is published under `up/` down again, QoS 1, to whoever published it; takes one user's password."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.over: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        if packet.password == b"secret":
            connection.accept(session_present=True)
        else:
            connection.refuse(5)

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        for packet in packets:
            connection.ack(packet.packet_id)
            topic = packet.topic.replace("up/", "down/")
            connection.send(Publish(topic=topic, payload=packet.payload, qos=1, packet_id=packet.packet_id))

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        connection.send(SubAck(packet_id=packet.packet_id, codes=(1,) * len(packet.filters)))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        connection.send(UnsubAck(packet_id=packet.packet_id))

    def on_puback(self, _connection: MqttServerProtocol, packet_id: int) -> None:
        self.acknowledged.append(packet_id)

    def on_disconnect(self, _connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        self.over.set_result((clean, reason))


class PahoClient:
    """paho with its callbacks turned into events that a test waits for."""

    def __init__(self, ca_path: str, password: str) -> None:
        self.received: list[tuple[str, bytes, int]] = []
        self.welcome = threading.Event()
        self.complete = threading.Event()
        self.subscribed = threading.Event()
        self.code = -1
        self.granted: tuple[int, ...] = ()
        self.client = paho.Client(client_id="d/m", clean_session=False)
        self.client.tls_set(ca_path)
        self.client.username_pw_set("hub/d/m/?api-version=2021-04-12", password)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: int) -> None:
        self.code = code
        self.welcome.set()

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, granted: tuple[int, ...]) -> None:
        self.granted = tuple(granted)
        self.subscribed.set()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.received.append((message.topic, message.payload, message.qos))
        if message.payload == b"last":
            self.complete.set()

    def connect(self, host: str, port: int) -> None:
        self.client.connect(host, port)
        self.client.loop_start()
        assert self.welcome.wait(WAIT_SECONDS)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def publish_and_receive(client: PahoClient, host: str, port: int) -> None:
    client.connect(host, port)
    client.client.subscribe([("down/#", 1), ("other/+", 1)])
    assert client.subscribed.wait(WAIT_SECONDS)
    payloads = [b"%d" % number for number in range(200)] + [bytes(150_000), b"last"]
    sent = [client.client.publish("up/%24.mid=1&a=ü", payload, qos=1) for payload in payloads]
    for message in sent:
        message.wait_for_publish(WAIT_SECONDS)
        assert message.is_published()
    assert client.complete.wait(WAIT_SECONDS)
    client.close()


async def serve(yard: Any, switchboard: Switchboard) -> asyncio.Server:
    context = ServerContext(yard.certificate_path, yard.key_path)
    factory = tls_protocol_factory(context, lambda: MqttServerProtocol(switchboard))
    return await asyncio.get_running_loop().create_server(factory, yard.host, 0)


async def test_paho_publishes_and_subscribes_with_qos_1_over_tls(yard: Any) -> None:
    switchboard = Switchboard()
    server = await serve(yard, switchboard)
    client = PahoClient(str(yard.authority_path), "secret")
    port = server.sockets[0].getsockname()[1]
    await asyncio.to_thread(publish_and_receive, client, yard.host, port)
    server.close()
    assert (client.code, client.granted) == (0, (1, 1))
    assert [payload for _topic, payload, _qos in client.received] == [
        *(b"%d" % number for number in range(200)),
        bytes(150_000),
        b"last",
    ]
    assert {(topic, qos) for topic, _payload, qos in client.received} == {("down/%24.mid=1&a=ü", 1)}
    assert await switchboard.over == (True, "the client disconnected")
    # paho's DISCONNECT may overtake its last PUBACK.
    assert len(switchboard.acknowledged) >= 201


async def test_paho_hears_a_refusal(yard: Any) -> None:
    server = await serve(yard, Switchboard())
    client = PahoClient(str(yard.authority_path), "wrong")
    port = server.sockets[0].getsockname()[1]
    await asyncio.to_thread(client.connect, yard.host, port)
    await asyncio.to_thread(client.close)
    server.close()
    assert client.code == 5
