"""Both roles of the engine against each other: sessions, links, credit, settlement and the ends of all of them."""

from __future__ import annotations

from typing import Any

import pytest

from iot_core.amqp import (
    ACCEPTED,
    MODE_SECOND,
    MODE_SETTLED,
    RELEASED,
    ClientSasl,
    Connection,
    ConnectionClosed,
    ConnectionOpened,
    Delivery,
    DeliveryReceived,
    DeliveryUpdated,
    Event,
    LinkAttached,
    LinkDetached,
    LinkDrained,
    LinkFlow,
    Receiver,
    Rejected,
    SaslOutcomeReceived,
    SaslRequested,
    Sender,
    SessionBegun,
    SessionEnded,
    Settings,
    Source,
    Target,
    error_condition,
)
from iot_core.amqp.states import TRANSITIONS, State, Step
from iot_core.errors import LocalProtocolError


class Pair:
    """A client and a server that says yes to everything; events are kept by side."""

    def __init__(self, *, sasl: ClientSasl | None = None, **settings: Any) -> None:
        self.server = Connection(Settings(container_id="server", **settings), is_server=True)
        self.client = Connection(Settings(container_id="client", client_sasl=sasl), is_server=False)
        self.heard: dict[str, list[Event]] = {"client": [], "server": []}
        self.accepts = True
        self.answers = True
        self.credit = 100

    def run(self) -> None:
        """Carry bytes, some at a time, until neither side has any."""
        while (up := self.client.data_to_send()) + (down := self.server.data_to_send()):
            for side, data in (("server", up), ("client", down)):
                for start in range(0, len(data), 1000):
                    self._give(side, data[start : start + 1000])

    def all(self, side: str, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard[side] if type(event) is kind]

    def _give(self, side: str, data: bytes) -> None:
        connection = getattr(self, side)
        connection.receive_data(data)
        for event in connection.events():
            self.heard[side].append(event)
            if side == "server" and self.answers:
                self._answer(event)

    def _answer(self, event: Event) -> None:
        match event:
            case SaslRequested():
                self.server.send_sasl_outcome(is_accepted=self.accepts)
            case ConnectionOpened():
                self.server.send_open()
            case SessionBegun(session=session):
                session.send_begin()
            case LinkAttached(link=link):
                link.send_attach()
                if isinstance(link, Receiver):
                    link.keep_credit(self.credit)

    def open(self) -> Pair:
        self.run()
        self.client.send_open()
        self.run()
        self.session = self.client.begin_session()
        self.run()
        return self

    def sender(self, name: str = "up", **attach: Any) -> Sender:
        link = self.session.attach_sender(name, source=Source(), target=Target(address="a"), **attach)
        self.run()
        return link

    def receiver(self, name: str = "down", **attach: Any) -> tuple[Receiver, Sender]:
        link = self.session.attach_receiver(name, source=Source(address="a"), target=Target(), **attach)
        self.run()
        return link, self.all("server", LinkAttached)[-1].link

    def arrived(self, side: str) -> list[Delivery]:
        return [event.delivery for event in self.all(side, DeliveryReceived)]


def settle(delivery: Delivery, *state: Any) -> None:
    assert isinstance(delivery.link, Receiver)
    delivery.link.settle(delivery, *state)


@pytest.fixture
def pair() -> Pair:
    return Pair().open()


# Logging in and opening.


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "EXTERNAL", "MSSBCBS"])
def test_a_connection_opens_with_sasl(mechanism: str) -> None:
    pair = Pair(sasl=ClientSasl(mechanism=mechanism)).open()
    assert [event.mechanism for event in pair.all("server", SaslRequested)] == [mechanism]
    assert [event.open.container_id for event in pair.all("client", ConnectionOpened)] == ["server"]


def test_a_connection_opens_without_sasl() -> None:
    pair = Pair().open()
    assert pair.all("server", SaslRequested) == []
    assert [event.open.container_id for event in pair.all("client", ConnectionOpened)] == ["server"]


def test_plain_gives_user_and_password_and_hides_the_password() -> None:
    pair = Pair(sasl=ClientSasl.plain("owner", "secret", "hub")).open()
    (login,) = pair.all("server", SaslRequested)
    assert (login.username, login.password, login.hostname) == ("owner", "secret", "hub")
    assert "secret" not in repr(login) + repr(ClientSasl.plain("owner", "secret"))


def test_a_refused_login_ends_both_sides() -> None:
    pair = Pair(sasl=ClientSasl())
    pair.accepts = False
    pair.run()
    assert [event.is_accepted for event in pair.all("client", SaslOutcomeReceived)] == [False]
    assert pair.client.should_hang_up
    assert pair.server.should_hang_up


def test_close_is_answered() -> None:
    pair = Pair().open()
    pair.client.send_close(error_condition("amqp:internal-error", "tired"))
    pair.run()
    (closed,) = pair.all("server", ConnectionClosed)
    assert closed.error is not None
    assert closed.error.description == "tired"
    assert pair.client.should_hang_up
    assert pair.server.should_hang_up


def test_the_ends_of_links_and_sessions_come_before_that_of_the_connection(pair: Pair) -> None:
    pair.sender()
    pair.client.send_close()
    pair.run()
    assert [type(event) for event in pair.heard["server"][-3:]] == [LinkDetached, SessionEnded, ConnectionClosed]


def test_a_lost_connection_ends_everything_once(pair: Pair) -> None:
    pair.sender()
    pair.receiver()
    events = pair.server.lost()
    assert [type(event) for event in events] == [LinkDetached, LinkDetached, SessionEnded]
    assert pair.server.lost() == []


def test_nothing_is_sent_on_what_is_lost(pair: Pair) -> None:
    sender = pair.sender()
    pair.client.lost()
    sender.send_detach()
    pair.session.send_end()
    pair.client.send_close()
    assert not sender.can_send
    assert pair.client.data_to_send() == b""


def test_nothing_is_sent_after_our_close(pair: Pair) -> None:
    sender = pair.sender()
    pair.client.send_close()
    assert not sender.can_send
    sender.send_detach()
    assert pair.client.data_to_send().endswith(b"\x00\x53\x18\xc0\x02\x01\x40")


# Messages.


def test_a_message_arrives_and_its_outcome_comes_back(pair: Pair) -> None:
    sender = pair.sender()
    sent = sender.send(b"hello", tag=b"t1")
    pair.run()
    (arrived,) = pair.arrived("server")
    assert (arrived.payload, arrived.tag) == (b"hello", b"t1")
    settle(arrived, Rejected(error=error_condition("amqp:not-allowed")))
    pair.run()
    assert sent.state == Rejected(error=error_condition("amqp:not-allowed"))
    assert sent.is_settled
    assert sender.unsettled == arrived.link.unsettled == {}


@pytest.mark.parametrize("size", [0, 1, 400, 500, 5_000, 100_000])
def test_messages_of_any_size_are_cut_to_the_peers_frames(size: int) -> None:
    pair = Pair(max_frame_size=512).open()
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    pair.sender().send(payload)
    pair.run()
    assert [delivery.payload for delivery in pair.arrived("server")] == [payload]
    assert pair.server.incomplete_bytes == 0


def test_more_transfers_than_the_window_wait_for_it() -> None:
    pair = Pair(max_frame_size=512, incoming_window=4).open()
    sender = pair.sender()
    sender.send(bytes(50_000))
    assert not sender.can_send
    pair.run()
    assert sender.can_send
    assert len(pair.arrived("server")[0].payload) == 50_000
    assert pair.all("client", LinkFlow)


def test_settled_messages_need_no_answer(pair: Pair) -> None:
    sender = pair.sender(snd_settle_mode=MODE_SETTLED)
    assert sender.send(b"x").is_settled
    pair.run()
    assert pair.arrived("server")[0].is_settled
    assert sender.unsettled == {}


def test_a_settled_link_does_not_send_unsettled(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError, match="does not send unsettled"):
        pair.sender(snd_settle_mode=MODE_SETTLED).send(b"x", settled=False)


def test_where_the_receiver_settles_second_the_sender_has_the_last_word(pair: Pair) -> None:
    receiver, sender = pair.receiver(rcv_settle_mode=MODE_SECOND)
    receiver.send_flow(1)
    pair.run()
    sent = sender.send(b"x")
    pair.run()
    (arrived,) = pair.arrived("client")
    receiver.settle(arrived, ACCEPTED)
    pair.run()
    assert (sent.state, sent.is_settled, arrived.is_settled) == (ACCEPTED, False, False)
    sender.settle(sent)
    pair.run()
    assert (sent.is_settled, arrived.is_settled) == (True, True)
    assert [event.delivery for event in pair.all("client", DeliveryUpdated)] == [arrived]


def test_outcomes_that_follow_each_other_leave_as_one_frame(pair: Pair) -> None:
    sender = pair.sender()
    for _ in range(30):
        sender.send(b"x")
    pair.run()
    deliveries = pair.arrived("server")
    for delivery in deliveries[:20]:
        settle(delivery)
    for delivery in deliveries[20:]:
        settle(delivery, RELEASED)
    data = pair.server.data_to_send()
    assert data.count(b"\x00\x53\x15") == 2
    pair.client.receive_data(data)
    states = [event.delivery.state for event in pair.client.events() if isinstance(event, DeliveryUpdated)]
    assert states == [ACCEPTED] * 20 + [RELEASED] * 10


def test_an_outcome_leaves_before_what_is_sent_after_it(pair: Pair) -> None:
    sender = pair.sender()
    receiver, replies = pair.receiver()
    receiver.send_flow(1)
    sender.send(b"request")
    pair.run()
    (request,) = pair.arrived("server")
    settle(request)
    replies.send(b"reply")
    pair.run()
    assert [type(event) for event in pair.heard["client"][-2:]] == [DeliveryUpdated, DeliveryReceived]


# Credit.


def test_nothing_is_sent_without_credit(pair: Pair) -> None:
    receiver, sender = pair.receiver()
    with pytest.raises(LocalProtocolError, match="cannot send now"):
        sender.send(b"x")
    receiver.send_flow(2)
    pair.run()
    sender.send(b"1")
    sender.send(b"2")
    assert not sender.can_send
    pair.run()
    assert receiver.credit == 0


def test_kept_credit_is_given_again_as_messages_are_settled() -> None:
    pair = Pair()
    pair.credit = 10
    sender = pair.open().sender()
    for _ in range(10):
        sender.send(b"x")
    pair.run()
    assert not sender.can_send
    for delivery in pair.arrived("server"):
        settle(delivery)
    pair.run()
    assert sender.credit == 10


def test_a_drained_sender_gives_its_credit_back(pair: Pair) -> None:
    receiver, sender = pair.receiver()
    receiver.send_flow(10, drain=True)
    pair.run()
    sender.send(b"only one")
    sender.send_drained()
    pair.run()
    assert receiver.credit == sender.credit == 0
    assert [event.link for event in pair.all("client", LinkDrained)] == [receiver]
    receiver.send_flow(1)
    pair.run()
    sender.send(b"and another")
    pair.run()
    assert len(pair.arrived("client")) == 2


def test_too_many_unsettled_deliveries_block_the_session() -> None:
    pair = Pair(max_unsettled=2).open()
    receiver, sender = pair.receiver()
    receiver.send_flow(10)
    pair.run()
    sender.send(b"1")
    sender.send(b"2")
    assert not sender.can_send
    pair.run()
    before = len(pair.all("server", LinkFlow))
    receiver.settle(pair.arrived("client")[0])
    pair.run()
    assert sender.can_send
    assert len(pair.all("server", LinkFlow)) == before + 1


# Links and sessions come and go.


def test_a_refused_link_is_attached_without_a_terminus_and_detached(pair: Pair) -> None:
    pair.answers = False
    receiver, offered = pair.receiver()
    offered.refuse(error_condition("amqp:link:redirect", "elsewhere", {"network-host": "there"}))
    pair.run()
    (attached,) = pair.all("client", LinkAttached)
    (detached,) = pair.all("client", LinkDetached)
    assert attached.attach.source is None
    assert detached.error.info == {"network-host": "there"}
    assert detached.link is receiver
    assert pair.server.link_count == pair.client.link_count == 0


def test_handles_are_used_again(pair: Pair) -> None:
    for _ in range(3):
        sender = pair.sender()
        assert sender.handle == 0
        sender.send_detach()
        pair.run()
    assert pair.server.link_count == 0
    assert len(pair.all("server", LinkDetached)) == 3


def test_a_link_may_be_detached_before_it_is_answered(pair: Pair) -> None:
    sender = pair.session.attach_sender("up", target=Target(address="a"))
    sender.send_detach()
    pair.run()
    assert pair.client.link_count == pair.server.link_count == 0


def test_an_unanswered_link_that_is_detached_gets_both_answers(pair: Pair) -> None:
    pair.answers = False
    sender = pair.sender()
    sender.send_detach()
    pair.run()
    assert [type(event) for event in pair.heard["client"][-2:]] == [LinkAttached, LinkDetached]
    pair.all("server", LinkAttached)[0].link.send_attach()
    assert pair.server.data_to_send() == b""


def test_a_session_that_ends_takes_its_links_along(pair: Pair) -> None:
    pair.sender()
    pair.session.send_end()
    pair.run()
    assert [type(event) for event in pair.heard["server"][-2:]] == [LinkDetached, SessionEnded]
    assert pair.server.link_count == 0
    pair.session = pair.client.begin_session()
    pair.run()
    assert pair.sender().can_send


def test_either_side_may_begin(pair: Pair) -> None:
    session = pair.server.begin_session()
    pair.run()
    begun = pair.all("client", SessionBegun)[-1]
    assert begun.by_peer
    begun.session.send_begin()
    pair.answers = False
    pair.run()
    assert session.endpoint.state is State.OPEN


def test_a_sessions_unsettled_deliveries_go_with_their_link(pair: Pair) -> None:
    sender = pair.sender()
    sender.send(b"x")
    pair.run()
    sender.send_detach()
    pair.run()
    assert pair.session.outgoing == {}
    assert pair.arrived("server")[0].is_settled


# Time.


def test_heartbeats_keep_an_idle_connection(pair: Pair) -> None:
    assert pair.server.tick(0.0) == 120.0
    pair.server.tick(120.0)
    assert pair.server.data_to_send(120.0) == b"\x00\x00\x00\x08\x02\x00\x00\x00"


def test_a_silent_peer_is_closed_after_twice_the_time(pair: Pair) -> None:
    pair.server.tick(479.0)
    assert not pair.server.should_hang_up
    assert pair.server.tick(480.0) is None
    assert pair.server.should_hang_up
    assert b"amqp:resource-limit-exceeded" in pair.server.data_to_send()


# The table.


def test_every_endpoint_can_come_to_its_end_from_everywhere() -> None:
    reached = {State.OVER}
    for _ in State:
        reached |= {before for (before, _), after in TRANSITIONS.items() if after in reached}
    assert reached == set(State)


def test_each_side_closes_once() -> None:
    for step in (Step.WE_CLOSE, Step.PEER_CLOSES):
        for (_, taken), after in TRANSITIONS.items():
            if taken is step:
                assert (after, step) not in TRANSITIONS
