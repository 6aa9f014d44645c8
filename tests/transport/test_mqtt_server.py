"""The server's side of MQTT connections: phases, order of acknowledgements, one write a turn, pauses, time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from iot_core.errors import LocalProtocolError
from iot_core.mqtt import (
    NOT_AUTHORIZED,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    encode,
)
from transport.mqtt_server import MqttServerProtocol, ServerLimits

HELLO = Connect(client_id="d", clean_session=False, keep_alive=60)


class FakeTransport(asyncio.Transport):
    """Keeps what is written, one entry a write."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.1.2.3", 4), "peercert_der": b"der"})
        self.writes: list[bytes] = []
        self.reading = True
        self.unsent = 0
        self.ending = ""
        self.ended = asyncio.Event()

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def close(self) -> None:
        self.ending = self.ending or "closed"
        self.ended.set()

    def abort(self) -> None:
        self.ending = self.ending or "aborted"

    @property
    def packets(self) -> list[Packet]:
        return Decoder().feed(b"".join(self.writes))


class FakeHandler:
    """Accepts everyone at once unless told otherwise, and keeps what it hears."""

    def __init__(self, *, accepts: bool = True) -> None:
        self.accepts = accepts
        self.heard: list[Any] = []
        self.over: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        self.heard.append(packet)
        if self.accepts:
            connection.accept()

    def on_publish(self, _connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        self.heard += packets

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        connection.send(SubAck(packet_id=packet.packet_id, codes=tuple(qos for _filter, qos in packet.filters)))

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        connection.send(UnsubAck(packet_id=packet.packet_id))

    def on_puback(self, _connection: MqttServerProtocol, packet_id: int) -> None:
        self.heard.append(packet_id)

    def on_disconnect(self, _connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        self.over.set_result((clean, reason))


class Session:
    """A connection with both its sides in the test's hands."""

    def __init__(self, handler: FakeHandler, limits: ServerLimits | None = None) -> None:
        self.handler = handler
        self.transport = FakeTransport()
        self.connection = MqttServerProtocol(handler, limits)
        self.connection.connection_made(self.transport)

    def receive(self, *packets: Packet) -> None:
        self.connection.data_received(b"".join(map(encode, packets)))


def opened(limits: ServerLimits | None = None) -> Session:
    session = Session(FakeHandler(), limits)
    session.receive(HELLO)
    session.transport.writes.clear()
    session.handler.heard.clear()
    return session


def message(packet_id: int, *, dup: bool = False) -> Publish:
    return Publish(topic="t", qos=1, packet_id=packet_id, dup=dup)


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_client_is_accepted_and_heard() -> None:
    session = Session(FakeHandler())
    session.receive(HELLO, message(1))
    assert session.handler.heard == [HELLO, message(1)]
    assert session.transport.packets == [ConnAck()]
    assert session.connection.is_open
    assert session.connection.peer == ("127.1.2.3", 4)
    assert session.connection.peer_certificate_der == b"der"


async def test_packets_wait_while_the_handler_thinks() -> None:
    session = Session(FakeHandler(accepts=False))
    session.receive(HELLO, message(1))
    session.receive(message(2))
    assert session.handler.heard == [HELLO]
    assert not session.transport.reading
    session.connection.accept(session_present=True)
    session.receive(message(3))
    await turn()
    assert session.handler.heard == [HELLO, message(1), message(2), message(3)]
    assert session.transport.packets == [ConnAck(session_present=True)]
    assert session.transport.reading


async def test_a_refused_client_gets_its_code_and_nothing_it_sent_counts() -> None:
    session = Session(FakeHandler(accepts=False))
    session.receive(HELLO, message(1))
    session.connection.refuse(NOT_AUTHORIZED)
    session.connection.accept()
    assert session.transport.packets == [ConnAck(code=NOT_AUTHORIZED)]
    assert session.transport.ending == "closed"
    assert session.handler.heard == [HELLO]
    assert await session.handler.over == (False, "refused with return code 5")


async def test_only_a_client_that_waits_can_be_accepted() -> None:
    with pytest.raises(LocalProtocolError):
        opened().connection.accept()


async def test_anything_before_connect_ends_the_connection_unheard() -> None:
    session = Session(FakeHandler())
    session.receive(PingReq(), HELLO)
    await turn()
    assert (session.transport.ending, session.transport.writes) == ("closed", [])
    assert session.handler.heard == []
    assert not session.handler.over.done()


async def test_another_protocol_level_is_answered_with_its_code() -> None:
    session = Session(FakeHandler())
    session.connection.data_received(bytes.fromhex("100e00044d5154540502000000000164"))
    assert session.transport.packets == [ConnAck(code=1)]
    assert session.transport.ending == "closed"


@pytest.mark.parametrize("packet", [HELLO, ConnAck(), PubRel(packet_id=1), PingResp(), SubAck(packet_id=1, codes=(0,))])
async def test_what_a_client_must_not_send_ends_the_connection(packet: Packet) -> None:
    session = opened()
    session.receive(packet, message(1))
    assert session.transport.ending == "closed"
    assert session.handler.heard == []
    assert await session.handler.over == (False, f"a client must not send {type(packet).__name__.upper()} now")


async def test_malformed_bytes_end_the_connection_after_the_good_packets() -> None:
    session = opened()
    session.connection.data_received(encode(message(1)) + b"\x00\x00")
    assert session.handler.heard == [message(1)]
    assert session.transport.ending == "closed"
    clean, reason = await session.handler.over
    assert (clean, reason) == (False, "protocol error: there is no packet of type 0")


async def test_too_large_a_packet_ends_the_connection() -> None:
    session = opened(ServerLimits(max_packet_size=100))
    session.receive(Publish(topic="t", payload=bytes(100)))
    assert session.transport.ending == "closed"


async def test_qos_2_reaches_the_handler_who_refuses_it() -> None:
    session = opened()
    session.receive(Publish(topic="t", qos=2, packet_id=1))
    assert session.handler.heard == [Publish(topic="t", qos=2, packet_id=1)]


async def test_everything_sent_during_one_read_leaves_in_one_write() -> None:
    session = opened()
    session.receive(
        PingReq(), Subscribe(packet_id=1, filters=(("a", 1), ("b", 0))), Unsubscribe(packet_id=2, filters=("a",))
    )
    assert len(session.transport.writes) == 1
    assert session.transport.packets == [PingResp(), SubAck(packet_id=1, codes=(1, 0)), UnsubAck(packet_id=2)]


async def test_everything_sent_later_in_one_turn_leaves_in_one_write() -> None:
    session = opened()
    session.receive(message(1), message(2))
    session.connection.ack(1)
    session.connection.send(Publish(topic="down"))
    session.connection.ack(2)
    assert session.transport.writes == []
    await turn()
    assert len(session.transport.writes) == 1
    assert session.transport.packets == [PubAck(packet_id=1), Publish(topic="down"), PubAck(packet_id=2)]


async def test_acknowledgements_leave_in_the_order_of_the_messages() -> None:
    session = opened()
    session.receive(message(7), message(3), message(5))
    session.connection.ack(5)
    session.connection.ack(3)
    await turn()
    assert session.transport.writes == []
    session.connection.ack(7)
    session.connection.ack(7)
    await turn()
    assert session.transport.packets == [PubAck(packet_id=7), PubAck(packet_id=3), PubAck(packet_id=5)]


async def test_a_repeated_message_that_still_waits_is_not_heard_twice() -> None:
    session = opened()
    session.receive(message(1), message(1, dup=True))
    assert session.handler.heard == [message(1)]
    assert session.connection.is_open


async def test_a_packet_id_in_use_cannot_be_used_again() -> None:
    session = opened()
    session.receive(message(1), message(1))
    assert session.transport.ending == "closed"


async def test_a_packet_id_is_free_after_its_acknowledgement() -> None:
    session = opened()
    for _round in range(3):
        session.receive(message(1))
        session.connection.ack(1)
    assert session.handler.heard == [message(1)] * 3


async def test_reading_stops_while_too_many_messages_wait() -> None:
    session = opened(ServerLimits(max_unacknowledged=4))
    session.receive(*(message(number) for number in range(1, 6)))
    assert not session.transport.reading
    session.connection.ack(1)
    session.connection.ack(2)
    assert not session.transport.reading
    session.connection.ack(3)
    assert session.transport.reading


async def test_reading_stops_while_the_client_does_not_read() -> None:
    session = opened()
    session.connection.pause_writing()
    assert session.connection.is_congested
    assert not session.transport.reading
    session.connection.resume_writing()
    assert not session.connection.is_congested
    assert session.transport.reading


async def test_reading_goes_on_only_when_every_cause_to_stop_is_gone() -> None:
    session = opened(ServerLimits(max_unacknowledged=1))
    session.receive(message(1), message(2))
    session.connection.pause_writing()
    session.connection.ack(1)
    session.connection.ack(2)
    assert not session.transport.reading
    session.connection.resume_writing()
    assert session.transport.reading


async def test_a_client_that_never_reads_is_cut_off() -> None:
    session = opened(ServerLimits(max_unsent=1000))
    session.connection.pause_writing()
    session.transport.unsent = 1001
    session.connection.send(Publish(topic="t"))
    await turn()
    assert session.transport.ending == "aborted"
    assert await session.handler.over == (False, "the client does not read what is sent to it")


async def test_disconnect_is_a_clean_end() -> None:
    session = opened()
    session.receive(Disconnect(), message(1))
    assert session.handler.heard == []
    assert await session.handler.over == (True, "the client disconnected")


async def test_hanging_up_is_not_a_clean_end() -> None:
    session = opened()
    session.connection.eof_received()
    session.connection.connection_lost(None)
    assert await session.handler.over == (False, "the client hung up without DISCONNECT")


async def test_a_lost_connection_tells_why() -> None:
    session = opened()
    session.connection.connection_lost(ConnectionResetError("reset by peer"))
    assert await session.handler.over == (False, "connection lost: reset by peer")


async def test_closing_sends_what_waits_and_nothing_after() -> None:
    session = opened()
    session.connection.send(Publish(topic="last"))
    session.connection.close("taken over")
    session.connection.send(Publish(topic="late"))
    session.connection.ack(1)
    session.receive(message(2))
    session.connection.connection_lost(None)
    await turn()
    assert session.transport.packets == [Publish(topic="last")]
    assert session.handler.heard == []
    assert await session.handler.over == (False, "taken over")


async def test_a_client_without_connect_is_cut_off() -> None:
    session = Session(FakeHandler(), ServerLimits(connect_seconds=0.01))
    await session.transport.ended.wait()
    assert session.transport.ending == "closed"


async def test_a_silent_client_is_cut_off() -> None:
    session = opened(ServerLimits(max_keep_alive_seconds=0.02))
    assert await session.handler.over == (False, "keep-alive ran out")


async def test_a_client_is_not_blamed_for_silence_while_we_do_not_read() -> None:
    session = opened(ServerLimits(max_unacknowledged=1))
    session.receive(message(1), message(2))
    let_pass(session, 91)
    assert session.connection.is_open
    session.connection.ack(1)
    session.connection.ack(2)
    let_pass(session, 91)
    assert await session.handler.over == (False, "keep-alive ran out")


async def test_a_client_that_takes_what_is_sent_is_not_silent() -> None:
    session = opened()
    session.connection.pause_writing()
    session.connection._heard -= 91
    session.connection.resume_writing()
    let_pass(session, 1)
    assert session.connection.is_open


async def test_a_client_that_speaks_is_kept() -> None:
    session = opened()
    for _ping in range(3):
        let_pass(session, 89)
        session.receive(PingReq())
    assert session.connection.is_open


def let_pass(session: Session, seconds: float) -> None:
    """As if so much time had gone by without a word from the client, and the timer looked then."""
    session.connection._heard -= seconds
    session.connection._check_silence()


@pytest.mark.parametrize(
    ("keep_alive", "longest", "allowed"), [(0, None, 0), (60, None, 90), (60, 80, 80), (0, 1767, 1767), (10, 1767, 15)]
)
async def test_silence_allowed_is_one_and_a_half_keep_alives_up_to_a_limit(
    keep_alive: int, longest: float | None, allowed: float
) -> None:
    session = Session(FakeHandler(), ServerLimits(max_keep_alive_seconds=longest))
    assert session.connection._silence_allowed(keep_alive) == allowed
