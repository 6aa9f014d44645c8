"""The AMQP server over TLS against the real clients: uamqp, and the stack of azure-eventhub."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from iot_core.amqp import (
    ACCEPTED,
    BATCH_FORMAT,
    AmqpValue,
    Data,
    Delivery,
    ErrorCondition,
    Link,
    Message,
    Open,
    Properties,
    Receiver,
    Rejected,
    SaslRequested,
    Sender,
    Settings,
    decode_batch,
    encode_message,
    error_condition,
)
from iot_core.amqp.types import Int, Symbol, Timestamp
from transport.amqp_server import AmqpServerProtocol
from transport.tls import ServerContext, tls_protocol_factory

uamqp = pytest.importorskip("uamqp", reason="uamqp has wheels for x86-64 Linux only")

LOGINS = 100
MANAGEMENT_LOGINS = 20
"""Fewer, because azure-eventhub sleeps half a second in each."""
LARGE = bytes(range(256)) * 800
KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


class Node:
    """Queues by name: what is sent to an address is read from it; `$cbs` and `$management` answer requests."""

    def __init__(self) -> None:
        self.queues: dict[str, deque[bytes]] = defaultdict(deque)
        self.readers: dict[str, list[Sender]] = defaultdict(list)
        self.tokens: list[str] = []
        self.mechanisms: list[str] = []
        self.attached = 0
        self.detached = 0
        self.all_detached = asyncio.Event()
        self.updates: list[Delivery] = []
        self.ends: list[str] = []

    def on_login(self, connection: AmqpServerProtocol, login: SaslRequested) -> None:
        self.mechanisms.append(login.mechanism)
        if login.password == "wrong":
            connection.refuse_login()
        else:
            connection.accept_login()

    def on_login_response(self, connection: AmqpServerProtocol, response: bytes) -> None:
        raise AssertionError("nobody was challenged")

    def on_open(self, connection: AmqpServerProtocol, peer: Open) -> None:
        pass

    def on_attach(self, connection: AmqpServerProtocol, link: Link) -> None:
        self.attached += 1
        self.all_detached.clear()
        address = _address(link)
        if address == "nowhere":
            link.refuse(error_condition("amqp:not-found", "there is nothing at nowhere"))
            return
        link.send_attach()
        if isinstance(link, Receiver):
            link.keep_credit(100)
        elif isinstance(link, Sender):
            self.readers[_queue_name(link)].append(link)

    def on_detach(self, connection: AmqpServerProtocol, link: Link, error: ErrorCondition | None) -> None:
        self.detached += 1
        if self.detached == self.attached:
            self.all_detached.set()
        if isinstance(link, Sender) and link in self.readers[_queue_name(link)]:
            self.readers[_queue_name(link)].remove(link)

    def on_delivery(self, connection: AmqpServerProtocol, link: Receiver, delivery: Delivery) -> None:
        address = _address(link)
        if address in ("$cbs", "$management"):
            link.settle(delivery, ACCEPTED)
            self._reply(link, address, delivery.message())
        elif address == "refused":
            link.settle(delivery, Rejected(error=error_condition("amqp:not-allowed", "not today")))
        else:
            link.settle(delivery, ACCEPTED)
            batch = delivery.message_format == BATCH_FORMAT
            messages = decode_batch(delivery.payload) if batch else (delivery.message(),)
            self.queues[address].extend(encode_message(_stamped(message)) for message in messages)
            self._feed(address)

    def on_credit(self, connection: AmqpServerProtocol, link: Sender) -> None:
        self._feed(_queue_name(link))
        link.send_drained()

    def on_update(self, connection: AmqpServerProtocol, link: Link, delivery: Delivery) -> None:
        self.updates.append(delivery)
        if isinstance(link, Sender):
            link.settle(delivery)

    def on_disconnect(self, connection: AmqpServerProtocol, clean: bool, reason: str) -> None:
        self.ends.append("clean" if clean else reason)

    def _feed(self, address: str) -> None:
        for link in self.readers[address]:
            while link.can_send and self.queues[address]:
                link.send(self.queues[address].popleft())

    def _reply(self, link: Receiver, address: str, request: Message) -> None:
        body: Any = None
        if address == "$cbs":
            assert isinstance(request.body, AmqpValue)
            self.tokens.append(request.body.value)
        else:
            body = {"name": "hub", "type": "com.microsoft:eventhub", "partition_count": Int(1)}
            body |= {"created_at": Timestamp(1_700_000_000_000), "partition_ids": ["0"]}
        assert request.properties is not None
        reply = Message(
            properties=Properties(correlation_id=request.properties.message_id),
            application_properties={"status-code": Int(200), "status-description": "OK"},
            body=AmqpValue(body),
        )
        answers = _queue_name(link)
        self.queues[answers].append(encode_message(reply))
        self._feed(answers)


def _queue_name(link: Link) -> str:
    """The address; of the nodes that answer requests, each connection has its own."""
    address = _address(link)
    return f"{address} {id(link.session.connection)}" if address.startswith("$") else address


def _address(link: Link) -> str:
    assert link.attach is not None
    terminus = link.attach.source if isinstance(link, Sender) else link.attach.target
    address = (terminus.address if terminus else None) or ""
    address = "/".join(address.split("/")[3:]) if "://" in address else address.lstrip("/")
    return address.split("/ConsumerGroups/")[0]


def _stamped(message: Message) -> Message:
    """As a hub hands it on: with the annotations that readers of events expect."""
    annotations = {Symbol("x-opt-sequence-number"): 7, "x-opt-offset": "12", "x-opt-enqueued-time": Timestamp(10)}
    return Message(
        message_annotations=annotations, application_properties=message.application_properties, body=message.body
    )


class Bench:
    """A node that listens, and what a client needs to find it."""

    def __init__(self, node: Node, host: str, port: int, ca: str) -> None:
        self.node, self.host, self.port, self.ca = node, host, port, ca

    def url(self, address: str) -> str:
        return f"amqps://{self.host}:{self.port}/{address}"

    def token_auth(self) -> Any:
        """The login of azure-iot-hub: SASL MSSBCBS, then a token put on `$cbs`."""
        token = AccessToken("SharedAccessSignature sr=x&sig=y&se=1", int(time.time()) + 3600)
        auth = uamqp.authentication.JWTTokenAuth(
            audience=f"https://{self.host}",
            uri=f"https://{self.host}",
            get_token=lambda: token,
            token_type=b"servicebus.windows.net:sastoken",
            port=self.port,
            verify=self.ca,
        )
        auth.update_token()
        return auth

    def connection_string(self) -> str:
        return f"Endpoint=sb://{self.host}/;SharedAccessKeyName=owner;SharedAccessKey={KEY};EntityPath=hub"

    def eventhub_options(self) -> dict[str, Any]:
        return {
            "connection_verify": self.ca,
            "custom_endpoint_address": f"sb://{self.host}:{self.port}",
            "retry_total": 0,
        }


@pytest.fixture
def eventhub() -> Any:
    import azure.eventhub

    return azure.eventhub


@pytest.fixture
async def bench(yard: Any) -> AsyncIterator[Bench]:
    async with serving(yard) as bench:
        yield bench


@asynccontextmanager
async def serving(yard: Any, **settings: Any) -> AsyncIterator[Bench]:
    node = Node()
    factory = functools.partial(AmqpServerProtocol, node, Settings(container_id="node", **settings))
    context = ServerContext(yard.certificate_path, yard.key_path)
    server = await asyncio.get_running_loop().create_server(tls_protocol_factory(context, factory), yard.host, 0)
    async with server:
        yield Bench(node, yard.host, server.sockets[0].getsockname()[1], str(yard.authority_path))


def send_by_uamqp(bench: Bench, address: str, *bodies: bytes) -> list[Any]:
    client = uamqp.SendClient(bench.url(address), auth=bench.token_auth())
    client.queue_message(*[uamqp.Message(body) for body in bodies])
    return list(client.send_all_messages())


def receive_by_uamqp(bench: Bench, address: str, count: int) -> list[bytes]:
    client = uamqp.ReceiveClient(bench.url(address), auth=bench.token_auth(), prefetch=count, timeout=0)
    received: list[bytes] = []
    try:
        while len(received) < count:
            received += [b"".join(m.get_data()) for m in client.receive_message_batch(max_batch_size=count)]
    finally:
        client.close()
    return received


async def test_uamqp_sends_and_receives(bench: Bench) -> None:
    bodies = [b"message %d" % number for number in range(250)]
    states = await asyncio.to_thread(send_by_uamqp, bench, "yard", *bodies)
    assert set(states) == {uamqp.constants.MessageState.SendComplete}
    assert await asyncio.to_thread(receive_by_uamqp, bench, "yard", len(bodies)) == bodies
    assert set(bench.node.mechanisms) == {"MSSBCBS"}


async def test_uamqp_sends_and_receives_messages_of_many_frames(yard: Any) -> None:
    async with serving(yard, max_frame_size=4096) as bench:
        await asyncio.to_thread(send_by_uamqp, bench, "yard", LARGE, LARGE)
        assert await asyncio.to_thread(receive_by_uamqp, bench, "yard", 2) == [LARGE, LARGE]


async def test_uamqp_logs_in_a_hundred_times_and_sends_each_time(bench: Bench) -> None:
    def log_in_and_send() -> None:
        for number in range(LOGINS):
            states = send_by_uamqp(bench, "yard", b"%d" % number)
            assert states == [uamqp.constants.MessageState.SendComplete]

    await asyncio.to_thread(log_in_and_send)
    assert len(bench.node.tokens) == LOGINS
    assert len(bench.node.queues["yard"]) == LOGINS
    await bench.node.all_detached.wait()


async def test_uamqp_hears_that_a_message_is_rejected(bench: Bench) -> None:
    states = await asyncio.to_thread(send_by_uamqp, bench, "refused", b"x")
    assert states == [uamqp.constants.MessageState.SendFailed]


async def test_uamqp_hears_why_a_link_is_refused(bench: Bench) -> None:
    with pytest.raises(uamqp.errors.AMQPError, match="there is nothing at nowhere"):
        await asyncio.to_thread(receive_by_uamqp, bench, "nowhere", 1)


async def test_eventhub_sends_a_batch_and_reads_it_with_annotations(bench: Bench, eventhub: Any) -> None:
    def send() -> None:
        with eventhub.EventHubProducerClient.from_connection_string(
            bench.connection_string(), **bench.eventhub_options()
        ) as producer:
            batch = producer.create_batch()
            for number in range(20):
                batch.add(eventhub.EventData(b"event %d" % number))
            producer.send_batch(batch)

    await asyncio.to_thread(send)
    events = await asyncio.to_thread(receive_by_eventhub, eventhub, bench, 20)
    assert [event.body_as_str() for event in events] == [f"event {number}" for number in range(20)]
    assert {(event.sequence_number, event.offset) for event in events} == {(7, "12")}


async def test_eventhub_reads_messages_of_many_frames(yard: Any, eventhub: Any) -> None:
    async with serving(yard, max_frame_size=4096) as bench:
        bench.node.queues["hub"].extend([encode_message(_stamped(Message(body=Data((LARGE,)))))] * 3)
        events = await asyncio.to_thread(receive_by_eventhub, eventhub, bench, 3)
        assert [b"".join(event.body) for event in events] == [LARGE] * 3


async def test_eventhub_asks_management_in_a_loop(bench: Bench, eventhub: Any) -> None:
    def ask() -> None:
        for _ in range(MANAGEMENT_LOGINS):
            with eventhub.EventHubConsumerClient.from_connection_string(
                bench.connection_string(), "$Default", **bench.eventhub_options()
            ) as consumer:
                assert consumer.get_partition_ids() == ["0"]

    await asyncio.to_thread(ask)
    assert len(bench.node.tokens) == MANAGEMENT_LOGINS


async def test_eventhub_async_client_reads(bench: Bench, eventhub: Any) -> None:
    from azure.eventhub.aio import EventHubConsumerClient

    bench.node.queues["hub"].append(encode_message(_stamped(Message(body=Data((b"one",))))))
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_event(_context: Any, event: Any) -> None:
        heard.set_result(event)

    consumer = EventHubConsumerClient.from_connection_string(
        bench.connection_string(), "$Default", **bench.eventhub_options()
    )
    async with consumer:
        reading = asyncio.create_task(consumer.receive(on_event, partition_id="0"))
        event = await heard
        reading.cancel()
    assert event.body_as_str() == "one"


def receive_by_eventhub(eventhub: Any, bench: Bench, count: int) -> list[Any]:
    consumer = eventhub.EventHubConsumerClient.from_connection_string(
        bench.connection_string(), "$Default", **bench.eventhub_options()
    )
    events: list[Any] = []

    def on_event(_context: Any, event: Any) -> None:
        events.append(event)
        if len(events) == count:
            consumer.close()

    consumer.receive(on_event, partition_id="0", starting_position="-1")
    return events
