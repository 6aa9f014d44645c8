"""The AMQP server protocol on a transport that keeps what is written: batching, pauses, time limits and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from iot_core.amqp import (
    ClientSasl,
    Connection,
    DeliveryReceived,
    DeliveryUpdated,
    Link,
    Receiver,
    Sender,
    Session,
    Settings,
    Source,
    Target,
    error_condition,
)
from transport.amqp_server import AmqpServerProtocol, ServerLimits

HEADER = b"AMQP\x00\x01\x00\x00"


class WriteLog(asyncio.Transport):
    """Keeps each write; a client engine can be joined to take them."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.paused = False
        self.ended = asyncio.Event()
        self.was_aborted = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.ended.set()

    def abort(self) -> None:
        self.was_aborted = True
        self.ended.set()


class Recorder:
    """A handler that accepts everything, replies to each request, and keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ended = asyncio.Event()
        self.decide: Callable[[AmqpServerProtocol], None] = AmqpServerProtocol.accept_login
        self.links: list[Link] = []
        self.replies: Sender | None = None

    def on_login(self, connection: AmqpServerProtocol, login: Any) -> None:
        self.calls.append("login")
        self.decide(connection)

    def on_login_response(self, connection: AmqpServerProtocol, response: bytes) -> None:
        raise AssertionError("nobody was challenged")

    def on_open(self, connection: AmqpServerProtocol, peer: Any) -> None:
        self.calls.append("open")

    def on_attach(self, connection: AmqpServerProtocol, link: Link) -> None:
        self.calls.append("attach")
        self.links.append(link)
        link.send_attach()
        if isinstance(link, Receiver):
            link.keep_credit(10)
        elif isinstance(link, Sender):
            self.replies = link

    def on_detach(self, connection: AmqpServerProtocol, link: Link, error: Any) -> None:
        self.calls.append("detach")

    def on_delivery(self, connection: AmqpServerProtocol, link: Receiver, delivery: Any) -> None:
        link.settle(delivery)
        if self.replies is not None:
            self.replies.send(b"reply")

    def on_credit(self, connection: AmqpServerProtocol, link: Sender) -> None:
        self.calls.append("credit")

    def on_update(self, connection: AmqpServerProtocol, link: Link, delivery: Any) -> None:
        self.calls.append("update")

    def on_disconnect(self, connection: AmqpServerProtocol, clean: bool, reason: str) -> None:
        self.calls.append(f"disconnect clean={clean}: {reason}")
        self.ended.set()


class Wire:
    """A client engine at the other end of the server protocol."""

    def __init__(self, *, sasl: ClientSasl | None = None, **limits: Any) -> None:
        self.handler = Recorder()
        self.transport = WriteLog()
        self.protocol = AmqpServerProtocol(self.handler, Settings(container_id="server"), ServerLimits(**limits))
        self.protocol.connection_made(self.transport)
        self.client = Connection(Settings(container_id="client", client_sasl=sasl), is_server=False)
        self.heard: list[Any] = []
        self._read = 0

    def exchange(self) -> None:
        """Until neither side has anything to say."""
        while True:
            up = self.client.data_to_send()
            if up:
                self.protocol.data_received(up)
            down, self._read = b"".join(self.transport.writes[self._read :]), len(self.transport.writes)
            if not up and not down:
                return
            self.client.receive_data(down)
            self.heard.extend(self.client.events())

    def open(self) -> Session:
        self.exchange()
        self.client.send_open()
        self.exchange()
        session = self.client.begin_session()
        self.exchange()
        return session


async def test_a_client_opens_and_attaches() -> None:
    wire = Wire(sasl=ClientSasl())
    wire.open().attach_sender("up", target=Target(address="a"))
    wire.exchange()
    assert wire.handler.calls == ["login", "open", "attach"]
    assert wire.protocol.is_open


async def test_what_one_read_causes_leaves_in_one_write_with_the_outcome_before_the_reply() -> None:
    wire = Wire()
    session = wire.open()
    sender = session.attach_sender("up", target=Target(address="a"))
    session.attach_receiver("down", source=Source(address="a")).send_flow(10)
    wire.exchange()
    for _ in range(3):
        sender.send(b"request")
    writes, heard = len(wire.transport.writes), len(wire.heard)
    wire.exchange()
    assert len(wire.transport.writes) == writes + 1
    assert [type(event) for event in wire.heard[heard:]] == [DeliveryUpdated, DeliveryReceived] * 3


async def test_what_a_handler_sends_later_leaves_in_one_write() -> None:
    wire = Wire()
    wire.open().attach_receiver("down", source=Source(address="a")).send_flow(10)
    wire.exchange()
    assert wire.handler.replies is not None
    before = len(wire.transport.writes)
    for _ in range(5):
        wire.handler.replies.send(b"later")
    await asyncio.get_running_loop().run_in_executor(None, bool)
    assert len(wire.transport.writes) == before + 1


async def test_a_login_may_be_decided_later_and_nothing_is_read_meanwhile() -> None:
    wire = Wire(sasl=ClientSasl())
    wire.handler.decide = lambda connection: None
    wire.exchange()
    assert wire.transport.paused
    wire.protocol.accept_login()
    assert not wire.transport.paused
    await asyncio.get_running_loop().run_in_executor(None, bool)
    wire.open()
    assert wire.protocol.is_open


async def test_a_refused_login_is_answered_and_hung_up() -> None:
    wire = Wire(sasl=ClientSasl())
    wire.handler.decide = AmqpServerProtocol.refuse_login
    wire.exchange()
    await wire.transport.ended.wait()
    await wire.handler.ended.wait()
    assert b"\x00\x53\x44" in b"".join(wire.transport.writes)


async def test_a_client_that_never_opens_is_cut_off() -> None:
    wire = Wire(open_seconds=0.01)
    await wire.transport.ended.wait()
    assert wire.handler.calls == []


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    wire = Wire(max_unsent=100)
    wire.open().attach_receiver("down", source=Source(address="a")).send_flow(10)
    wire.exchange()
    wire.protocol.pause_writing()
    assert wire.protocol.is_congested
    assert wire.transport.paused
    wire.transport.unsent = 101
    assert wire.handler.replies is not None
    wire.handler.replies.send(b"too much")
    await wire.handler.ended.wait()
    assert wire.transport.was_aborted


async def test_credit_is_offered_again_after_congestion() -> None:
    wire = Wire()
    wire.open().attach_receiver("down", source=Source(address="a")).send_flow(10)
    wire.exchange()
    wire.handler.calls.clear()
    wire.protocol.pause_writing()
    wire.protocol.resume_writing()
    assert wire.handler.calls == ["credit"]
    assert not wire.transport.paused


async def test_a_lost_connection_ends_every_link_and_then_itself_once() -> None:
    wire = Wire()
    session = wire.open()
    session.attach_sender("up", target=Target(address="a"))
    session.attach_receiver("down", source=Source(address="a"))
    wire.exchange()
    wire.protocol.connection_lost(None)
    wire.protocol.connection_lost(None)
    await wire.handler.ended.wait()
    assert wire.handler.calls[-3:] == [
        "detach",
        "detach",
        "disconnect clean=False: the client hung up without close",
    ]
    wire.handler.links[0].send_detach()


async def test_a_client_that_closes_leaves_in_good_order() -> None:
    wire = Wire()
    wire.open()
    wire.client.send_close()
    wire.exchange()
    await wire.handler.ended.wait()
    assert wire.handler.calls[-1] == "disconnect clean=True: the client closed"


async def test_the_servers_close_says_why_and_waits_for_the_answer() -> None:
    wire = Wire()
    wire.open()
    wire.protocol.close(error_condition("amqp:connection:forced", "restart"))
    await asyncio.get_running_loop().run_in_executor(None, bool)
    assert not wire.transport.ended.is_set()
    wire.exchange()
    await wire.handler.ended.wait()
    assert wire.heard[-1].error.description == "restart"


@pytest.mark.parametrize("nonsense", [b"\xff" * 64, bytes(8) * 8])
async def test_nonsense_gets_a_close_that_names_it(nonsense: bytes) -> None:
    wire = Wire()
    wire.open()
    wire.protocol.data_received(nonsense)
    await wire.handler.ended.wait()
    assert b"amqp:connection:framing-error" in wire.transport.writes[-1]
    assert wire.transport.ended.is_set()


async def test_plain_http_gets_the_protocol_header_and_is_hung_up() -> None:
    wire = Wire()
    wire.protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await wire.transport.ended.wait()
    assert wire.transport.writes == [HEADER]
