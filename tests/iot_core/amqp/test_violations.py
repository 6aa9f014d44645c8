"""Peers that break AMQP: what each mistake is answered with, and that random bytes do no harm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.amqp import AmqpViolation, Connection, LinkAttached, Receiver, Settings, Source, Target
from iot_core.amqp.composite import read_composite
from iot_core.amqp.events import ConnectionOpened, SaslRequested, SessionBegun
from iot_core.amqp.frames import Framer, encode_frame
from iot_core.amqp.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Transfer,
)

HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
OPEN = Open(container_id="peer")
BEGIN = Begin(next_outgoing_id=0, incoming_window=10, outgoing_window=10)
SENDER = Attach(name="up", handle=0, role=False, source=Source(), target=Target(address="a"), initial_delivery_count=0)
RECEIVER = Attach(name="down", handle=1, role=True, source=Source(address="a"), target=Target())
FIRST = Transfer(handle=0, delivery_id=0, delivery_tag=b"t")


class Server:
    """A server that says yes and gives two credits; `say` gives it frames, `answers` are the performatives it sends."""

    def __init__(self, **settings: Any) -> None:
        self.connection = Connection(Settings(container_id="server", **settings), is_server=True)
        self.events: list[Any] = []
        self._sent = Framer(1 << 20)

    def hear(self, data: bytes) -> None:
        self.connection.receive_data(data)
        for event in self.connection.events():
            self.events.append(event)
            match event:
                case SaslRequested():
                    self.connection.send_sasl_outcome(is_accepted=True)
                case ConnectionOpened():
                    self.connection.send_open()
                case SessionBegun(session=session):
                    session.send_begin()
                case LinkAttached(link=link):
                    link.send_attach()
                    if isinstance(link, Receiver):
                        link.send_flow(2)

    def say(self, *performatives: Any, channel: int = 0) -> Server:
        for performative in performatives:
            payload = b"x" * 10 if isinstance(performative, Transfer) else b""
            self.hear(encode_frame(performative, channel=channel, payload=payload))
        return self

    def answers(self) -> list[Any]:
        data = self.connection.data_to_send()
        self._sent.feed(data.removeprefix(HEADER))
        answers = []
        while (frame := self._sent.frame()) is not None:
            answers.append(read_composite(frame.body, 0)[0])
        return answers


def attached(**settings: Any) -> Server:
    server = Server(**settings)
    server.hear(HEADER)
    server.say(OPEN, BEGIN, SENDER, RECEIVER)
    server.answers()
    return server


CONNECTION_MISTAKES = [
    ([Open(container_id="again")], "amqp:illegal-state"),
    ([Begin(remote_channel=7, next_outgoing_id=0, incoming_window=1, outgoing_window=1)], "amqp:illegal-state"),
    ([BEGIN], "amqp:illegal-state"),
    ([Attach(name="x", handle=256, role=True)], "amqp:connection:framing-error"),
]


@pytest.mark.parametrize(("mistake", "condition"), CONNECTION_MISTAKES)
def test_mistakes_that_close_the_connection(mistake: list[Any], condition: str) -> None:
    server = attached()
    with pytest.raises(AmqpViolation) as caught:
        server.say(*mistake)
    assert caught.value.condition == condition
    (close,) = server.answers()
    assert close.error.condition == condition
    assert server.connection.should_hang_up


SESSION_MISTAKES = [
    (Transfer(handle=9, delivery_id=0, delivery_tag=b"t"), "amqp:session:unattached-handle"),
    (Flow(incoming_window=1, next_outgoing_id=0, outgoing_window=1, handle=9), "amqp:session:unattached-handle"),
    (Detach(handle=9), "amqp:session:unattached-handle"),
    (Attach(name="x", handle=0, role=True), "amqp:session:handle-in-use"),
    (Disposition(role=True, first=5, last=2), "amqp:invalid-field"),
]


@pytest.mark.parametrize(("mistake", "condition"), SESSION_MISTAKES)
def test_mistakes_that_end_the_session(mistake: Any, condition: str) -> None:
    server = attached().say(mistake)
    (end,) = server.answers()
    assert isinstance(end, End)
    assert end.error is not None
    assert end.error.condition == condition


LINK_MISTAKES = [
    ([Transfer(handle=0, delivery_id=0)], "amqp:invalid-field"),
    ([Transfer(handle=0, delivery_tag=b"t")], "amqp:invalid-field"),
    ([Transfer(handle=0, delivery_id=0, delivery_tag=b"t" * 33)], "amqp:invalid-field"),
    ([Transfer(handle=0, delivery_id=0, delivery_tag=b"t", resume=True)], "amqp:not-implemented"),
    ([Transfer(handle=1, delivery_id=0, delivery_tag=b"t")], "amqp:invalid-field"),
    (
        [
            Transfer(handle=0, delivery_id=0, delivery_tag=b"t", more=True),
            Transfer(handle=0, delivery_id=1, delivery_tag=b"u"),
        ],
        "amqp:invalid-field",
    ),
    (
        [Transfer(handle=0, delivery_id=number, delivery_tag=b"t") for number in range(3)],
        "amqp:link:transfer-limit-exceeded",
    ),
]


@pytest.mark.parametrize(("mistakes", "condition"), LINK_MISTAKES)
def test_mistakes_that_detach_the_link(mistakes: list[Any], condition: str) -> None:
    server = attached().say(*mistakes)
    detach = server.answers()[-1]
    assert isinstance(detach, Detach)
    assert detach.error is not None
    assert detach.error.condition == condition
    assert server.say(RECEIVER_FLOW).answers() == []


RECEIVER_FLOW = Flow(next_incoming_id=0, incoming_window=10, next_outgoing_id=0, outgoing_window=10)


def test_a_message_that_is_too_long_detaches_the_link_and_frees_what_arrived() -> None:
    server = attached(max_message_size=25)
    piece = Transfer(handle=0, delivery_id=0, delivery_tag=b"t", more=True)
    (detach,) = server.say(piece, piece, piece).answers()
    assert detach.error.condition == "amqp:link:message-size-exceeded"
    assert server.connection.incomplete_bytes == 0


def test_incomplete_messages_are_bounded_together() -> None:
    server = attached(max_incomplete_bytes=15)
    piece = Transfer(handle=0, delivery_id=0, delivery_tag=b"t", more=True)
    (detach,) = server.say(piece, piece).answers()
    assert detach.error.condition == "amqp:resource-limit-exceeded"


def test_more_transfers_than_the_window_end_the_session() -> None:
    server = Server(incoming_window=1)
    server.hear(HEADER)
    server.say(OPEN, BEGIN, SENDER)
    session = server.events[1].session
    session._incoming_window = 0
    server.answers()
    (end,) = server.say(FIRST).answers()
    assert end.error.condition == "amqp:session:window-violation"


def test_links_are_bounded() -> None:
    server = attached(max_links=2)
    (end,) = server.say(Attach(name="third", handle=2, role=True)).answers()
    assert end.error.condition == "amqp:resource-limit-exceeded"


def test_a_delivery_id_is_not_used_twice_at_once() -> None:
    server = attached().say(FIRST, FIRST)
    (end,) = server.answers()
    assert end.error.condition == "amqp:invalid-field"


def test_an_aborted_delivery_is_dropped() -> None:
    server = attached().say(
        Transfer(handle=0, delivery_id=0, delivery_tag=b"t", more=True),
        Transfer(handle=0, delivery_id=0, aborted=True),
        Transfer(handle=0, delivery_id=1, delivery_tag=b"u"),
    )
    (arrived,) = [event.delivery for event in server.events if hasattr(event, "delivery")]
    assert arrived.payload == b"x" * 10
    assert server.connection.incomplete_bytes == 0


def test_the_older_of_two_links_of_one_name_is_stolen() -> None:
    stealing = Attach(name="up", handle=5, role=False, source=Source(), target=Target(address="a"))
    answers = attached().say(stealing).answers()
    assert isinstance(answers[0], Detach)
    assert answers[0].error is not None
    assert answers[0].error.condition == "amqp:link:stolen"
    assert isinstance(answers[1], Attach)


def test_what_comes_for_a_session_that_has_ended_is_dropped() -> None:
    server = attached().say(End(), Detach(handle=0), RECEIVER_FLOW)
    assert [type(answer) for answer in server.answers()] == [End]
    assert [type(answer) for answer in server.say(BEGIN, SENDER).answers()] == [Begin, Attach, Flow]


def test_after_our_close_only_the_peers_close_counts() -> None:
    server = attached()
    server.connection.send_close()
    server.say(FIRST, BEGIN, Close())
    assert [type(answer) for answer in server.answers()] == [Close]
    assert server.connection.should_hang_up


def test_echo_is_answered() -> None:
    flow = replace(RECEIVER_FLOW, handle=1, link_credit=3, echo=True)
    (answer,) = attached().say(flow).answers()
    assert (answer.handle, answer.link_credit) == (1, 3)


def test_opens_that_cannot_be_met_are_refused_with_open_and_close() -> None:
    for opening in (Open(container_id="p", max_frame_size=100), Open(container_id="p", idle_time_out=10)):
        server = Server()
        server.hear(HEADER)
        with pytest.raises(AmqpViolation):
            server.say(opening)
        assert [type(answer) for answer in server.answers()] == [Open, Close]


def test_a_peer_whose_frames_are_too_small_for_the_answer_is_told_so() -> None:
    server = Server()
    server.hear(HEADER)
    server.say(replace(OPEN, max_frame_size=512), BEGIN, replace(SENDER, name="é" * 400))
    assert [type(answer) for answer in server.answers()] == [Open, Begin, Close]
    assert server.connection.should_hang_up


def test_what_a_peer_is_told_of_its_mistake_fits_in_its_frames() -> None:
    server = Server()
    server.hear(HEADER)
    server.say(replace(OPEN, max_frame_size=512), BEGIN, replace(SENDER, name="é" * 100))
    server.answers()
    with pytest.raises(AmqpViolation):
        server.say(replace(SENDER, name="é" * 100, handle=300))
    assert server.answers()[0].error is not None


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (b"AMQP\x00\x00\x09\x01", HEADER),
        (b"AMQP\x02\x01\x00\x00", HEADER),
        (b"AMQP\x03\x02\x00\x00", SASL_HEADER),
        (b"GET / HT", HEADER),
    ],
)
def test_other_protocols_and_versions_are_answered_with_ours(header: bytes, answer: bytes) -> None:
    server = Server()
    with pytest.raises(AmqpViolation):
        server.hear(header)
    assert server.connection.data_to_send() == answer
    assert server.connection.should_hang_up


def test_where_sasl_is_required_the_bare_header_is_answered_with_that_of_sasl() -> None:
    server = Server(sasl_required=True)
    with pytest.raises(AmqpViolation):
        server.hear(HEADER)
    assert server.connection.data_to_send() == SASL_HEADER


def test_a_frame_is_refused_by_its_size_before_it_is_there() -> None:
    server = attached()
    with pytest.raises(AmqpViolation, match="1073741824 bytes is longer than the 65536 allowed"):
        server.hear(b"\x40\x00\x00\x00\x02\x00\x00\x00")


def test_a_frame_whose_body_starts_behind_its_end_is_refused() -> None:
    with pytest.raises(AmqpViolation, match="has its body at byte 40"):
        attached().hear(b"\x00\x00\x00\x08\x0a\x00\x00\x00")


def test_frames_may_come_byte_by_byte() -> None:
    whole = HEADER + b"".join(encode_frame(item) for item in (OPEN, BEGIN, SENDER)) + encode_frame(FIRST, payload=b"x")
    server = Server()
    for index in range(len(whole)):
        server.hear(whole[index : index + 1])
    assert [type(answer) for answer in server.answers()] == [Open, Begin, Attach, Flow]
    assert server.events[-1].delivery.payload == b"x"


@given(st.binary(max_size=200), st.sampled_from([b"", HEADER, SASL_HEADER]))
def test_random_bytes_raise_nothing_but_violations(data: bytes, start: bytes) -> None:
    for server in (Server(), attached()):
        try:
            server.hear(start + data)
        except AmqpViolation:
            assert server.connection.should_hang_up


DETACHES = [Detach(handle=0), Detach(handle=1)]
PIECES = [Transfer(handle=0, more=True), Transfer(handle=1)]
OUTCOMES = [Disposition(role=True, first=0), Disposition(role=False, first=0, last=9, settled=True)]
performatives = st.sampled_from(
    [OPEN, BEGIN, SENDER, RECEIVER, FIRST, RECEIVER_FLOW, End(), Close(), *DETACHES, *PIECES, *OUTCOMES]
)


@given(st.lists(st.tuples(performatives, st.integers(0, 2)), max_size=12))
def test_performatives_in_any_order_raise_nothing_but_violations(spoken: list[tuple[Any, int]]) -> None:
    server = attached()
    try:
        for performative, channel in spoken:
            server.say(performative, channel=channel)
    except AmqpViolation:
        assert server.connection.should_hang_up
    server.answers()
    assert server.connection.link_count == len(server.connection.links())


@given(st.data())
def test_a_changed_byte_in_a_conversation_raises_nothing_but_violations(data: st.DataObject) -> None:
    frames = [encode_frame(item) for item in (OPEN, BEGIN, SENDER, RECEIVER, FIRST, RECEIVER_FLOW, Detach(handle=0))]
    raw = bytearray(HEADER + b"".join(frames))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    server = Server()
    try:
        server.hear(bytes(raw))
    except AmqpViolation:
        assert server.connection.should_hang_up
