"""Packets survive the way to bytes and back, however the bytes are split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import LocalProtocolError
from iot_core.mqtt import (
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
    encode_pubacks,
)

packet_ids = st.integers(1, 65535)
strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)
filters = topics | st.builds(lambda start: f"{start}/+/x/#", topics)
wills = st.builds(Will, topic=topics, payload=st.binary(max_size=40), qos=st.integers(0, 2), retain=st.booleans())
connects = st.builds(
    Connect,
    client_id=strings.filter(bool),
    clean_session=st.booleans(),
    keep_alive=st.integers(0, 65535),
    username=strings,
    password=st.none() | st.binary(max_size=40),
    will=st.none() | wills,
)
publishes = st.builds(Publish, topic=topics, payload=st.binary(max_size=400), retain=st.booleans()) | st.builds(
    Publish,
    topic=topics,
    payload=st.binary(max_size=400),
    qos=st.integers(1, 2),
    packet_id=packet_ids,
    retain=st.booleans(),
    dup=st.booleans(),
)
packets: st.SearchStrategy[Packet] = st.one_of(
    connects,
    st.builds(ConnAck, code=st.integers(0, 5)),
    publishes,
    *(st.builds(kind, packet_id=packet_ids) for kind in (PubAck, PubRec, PubRel, PubComp, UnsubAck)),
    st.builds(
        Subscribe,
        packet_id=packet_ids,
        filters=st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1, max_size=5).map(tuple),
    ),
    st.builds(
        SubAck,
        packet_id=packet_ids,
        codes=st.lists(st.sampled_from([0, 1, 2, 128]), min_size=1, max_size=5).map(tuple),
    ),
    st.builds(Unsubscribe, packet_id=packet_ids, filters=st.lists(filters, min_size=1, max_size=5).map(tuple)),
    st.builds(PingReq),
    st.builds(PingResp),
    st.builds(Disconnect),
)


@given(st.lists(packets, max_size=8))
def test_packets_come_back_as_they_were(sent: list[Packet]) -> None:
    assert Decoder().feed(b"".join(map(encode, sent))) == sent


@given(st.lists(packets, min_size=1, max_size=8), st.data())
def test_any_split_gives_the_same_packets(sent: list[Packet], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = Decoder()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [packet for piece in pieces for packet in decoder.feed(piece)] == sent


@given(st.lists(packets, min_size=1, max_size=4))
def test_a_packet_is_given_with_its_last_byte(sent: list[Packet]) -> None:
    decoder = Decoder()
    for packet in sent:
        *first, last = (bytes((byte,)) for byte in encode(packet))
        assert all(decoder.feed(byte) == [] for byte in first)
        assert decoder.feed(last) == [packet]


@pytest.mark.parametrize("size", [0, 120, 127, 128, 16383, 16384, 2097151, 2097152])
def test_remaining_length_grows_with_the_payload(size: int) -> None:
    packet = Publish(topic="t", payload=bytes(size), qos=1, packet_id=65535)
    assert Decoder().feed(encode(packet)) == [packet]


def test_bytes_are_those_of_the_standard() -> None:
    assert encode(Publish(topic="a/b", payload=b"hi", qos=1, packet_id=10)) == bytes.fromhex("32090003612f62000a6869")
    assert encode(PubAck(packet_id=258)) == encode_pubacks((258,)) == bytes.fromhex("40020102")
    assert encode(Subscribe(packet_id=1, filters=(("a/b", 1),))) == bytes.fromhex("820800010003612f6201")
    assert encode(Connect(client_id="d", keep_alive=60, username="u", password=b"p")) == bytes.fromhex(
        "1013 0004 4d515454 04 c2 003c 0001 64 0001 75 0001 70"
    )


def test_password_stays_out_of_the_repr() -> None:
    assert "s3cret" not in repr(Connect(client_id="d", username="u", password=b"s3cret"))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Publish(topic="a", qos=1),
        lambda: Publish(topic="a", packet_id=1),
        lambda: Publish(topic="a", dup=True),
        lambda: Publish(topic="a", qos=3, packet_id=1),
        lambda: Publish(topic="a/#"),
        lambda: PubAck(packet_id=0),
        lambda: PubRel(packet_id=65536),
        lambda: Connect(client_id="", clean_session=False),
        lambda: Connect(client_id="d", keep_alive=65536),
        lambda: Connect(client_id="d", password=b"p"),
        lambda: Connect(client_id="d", username="u", password=bytes(65536)),
        lambda: ConnAck(code=5, session_present=True),
        lambda: ConnAck(code=256),
        lambda: Subscribe(packet_id=1, filters=()),
        lambda: Subscribe(packet_id=1, filters=(("a", 3),)),
        lambda: SubAck(packet_id=1, codes=(3,)),
        lambda: SubAck(packet_id=1, codes=()),
        lambda: Unsubscribe(packet_id=1, filters=()),
        lambda: Will(topic="a/+"),
        lambda: encode(Publish(topic="a", payload=bytes(268_435_455))),
    ],
)
def test_what_mqtt_forbids_cannot_be_built(build: object) -> None:
    assert callable(build)
    with pytest.raises(LocalProtocolError):
        build()
