"""What a peer must not send ends in one RemoteProtocolError, never in a wrong packet or another exception."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import RemoteProtocolError
from iot_core.mqtt import Decoder, MalformedPacket, PingReq, Publish, encode

CONNECT = "0004 4d515454 04"


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("packet type 0", "0000"),
        ("packet type 15", "f000"),
        ("remaining length of five bytes", "30 ffffffff01"),
        ("QoS 3", "36 05 0001 61 0001"),
        ("QoS 1 with packet id 0", "32 05 0001 61 0000"),
        ("QoS 2 with packet id 0", "34 05 0001 61 0000"),
        ("duplicate of QoS 0", "38 03 0001 61"),
        ("empty topic", "30 02 0000"),
        ("wildcard in a topic", "30 03 0001 23"),
        ("U+0000 in a topic", "30 03 0001 00"),
        ("surrogate in a topic", "30 05 0003 eda080"),
        ("topic that is not UTF-8", "30 03 0001 ff"),
        ("topic longer than the packet", "30 03 0005 61"),
        ("no room for the packet id", "32 04 0001 61 00"),
        ("PUBLISH without a topic length", "30 00"),
        ("PUBLISH of one byte", "30 01 00"),
        ("PUBACK with packet id 0", "40 02 0000"),
        ("PUBACK with flags", "41 02 0001"),
        ("PUBACK too long", "40 03 000100"),
        ("PUBACK too short", "40 01 00"),
        ("PUBREL without its flags", "60 02 0001"),
        ("SUBSCRIBE without its flags", "80 06 0001 0001 61 01"),
        ("SUBSCRIBE with packet id 0", "82 06 0000 0001 61 01"),
        ("SUBSCRIBE without filters", "82 02 0001"),
        ("SUBSCRIBE with QoS 3", "82 06 0001 0001 61 03"),
        ("SUBSCRIBE cut short", "82 05 0001 0001 61"),
        ("filter with a misplaced wildcard", "82 07 0001 0002 6123 01"),
        ("UNSUBSCRIBE without filters", "a2 02 0001"),
        ("UNSUBSCRIBE without its flags", "a0 05 0001 0001 61"),
        ("SUBACK with code 3", "90 03 0001 03"),
        ("PINGREQ with flags", "c1 00"),
        ("PINGREQ with a body", "c0 01 00"),
        ("DISCONNECT with flags", "e2 00"),
        ("CONNACK with reserved flags", "20 02 02 00"),
        ("CONNACK refusing with a session", "20 02 01 05"),
        ("CONNECT of another protocol", "10 0d 0004 58585858 04 02 0000 0001 64"),
        ("CONNECT with the reserved flag", f"10 0d {CONNECT} 03 0000 0001 64"),
        ("CONNECT with will QoS but no will", f"10 0d {CONNECT} 0a 0000 0001 64"),
        ("CONNECT with will QoS 3", f"10 13 {CONNECT} 1e 0000 0001 64 0001 74 0001 70"),
        ("CONNECT with a password but no user", f"10 10 {CONNECT} 42 0000 0001 64 0001 70"),
        ("CONNECT longer than its fields", f"10 0e {CONNECT} 02 0000 0001 64 00"),
        ("CONNECT shorter than its fields", f"10 0b {CONNECT} 02 0000 0001"),
    ],
)
def test_malformed_packet_is_refused(name: str, stream: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Decoder().feed(bytes.fromhex(stream))


@pytest.mark.parametrize(
    ("name", "stream", "answer"),
    [
        ("MQTT 3.1", "10 0f 0006 4d5149736470 03 02 0000 0001 64", 1),
        ("MQTT 5", "10 0e 0004 4d515454 05 02 0000 00 0001 64", 1),
        ("no client id for a lasting session", f"10 0c {CONNECT} 00 0000 0000", 2),
    ],
)
def test_connect_is_refused_with_the_code_the_standard_has_for_it(name: str, stream: str, answer: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        Decoder().feed(bytes.fromhex(stream))
    assert caught.value.answer == answer


def test_good_packets_before_a_bad_one_are_not_lost() -> None:
    with pytest.raises(MalformedPacket) as caught:
        Decoder().feed(encode(PingReq()) + b"\x00\x00")
    assert caught.value.before == [PingReq()]


def test_a_packet_over_the_limit_is_refused_by_its_header_alone() -> None:
    header = encode(Publish(topic="t", payload=bytes(2000)))[:3]
    with pytest.raises(RemoteProtocolError, match="longer than the 1000 allowed"):
        Decoder(1000).feed(header)


def test_a_packet_at_the_limit_is_taken() -> None:
    whole = encode(Publish(topic="t", payload=bytes(2000)))
    assert len(Decoder(len(whole)).feed(whole)) == 1
    with pytest.raises(RemoteProtocolError):
        Decoder(len(whole) - 1).feed(whole)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_garbage_raises_nothing_else(pieces: list[bytes]) -> None:
    decoder = Decoder(100_000)
    with suppress(RemoteProtocolError):
        for piece in pieces:
            decoder.feed(piece)
