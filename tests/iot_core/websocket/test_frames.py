from __future__ import annotations

import os
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import RemoteProtocolError
from iot_core.websocket import Close, Data, Event, FrameDecoder, Ping, close_frame, data_frame, pong_frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x01\x02\x03\xff"


def client_frame(payload: bytes, opcode: int = BINARY, *, final: bool = True, mask: bytes = MASK) -> bytes:
    first, length = (0x80 if final else 0) | opcode, len(payload)
    if length < 126:
        head = struct.pack(">BB", first, 0x80 | length)
    elif length < 65536:
        head = struct.pack(">BBH", first, 0xFE, length)
    else:
        head = struct.pack(">BBQ", first, 0xFF, length)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def decoded(*pieces: bytes) -> list[Event]:
    decoder = FrameDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def stream(events: list[Event]) -> bytes:
    return b"".join(event.payload for event in events if isinstance(event, Data))


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 300_000])
def test_a_payload_comes_back_whatever_its_length(length: int) -> None:
    payload = os.urandom(length)
    assert stream(decoded(client_frame(payload))) == payload


def test_parts_of_a_message_are_one_stream_with_control_frames_between_them() -> None:
    frames = (
        client_frame(b"ab", final=False),
        client_frame(b"?", PING),
        client_frame(b"cd", CONTINUATION, final=False),
        client_frame(b"", PONG),
        client_frame(b"ef", CONTINUATION),
        client_frame(b"gh"),
    )
    events = decoded(b"".join(frames))
    assert stream(events) == b"abcdefgh"
    assert [event for event in events if not isinstance(event, Data)] == [Ping(payload=b"?")]


@pytest.mark.parametrize(("payload", "code"), [(b"", None), (b"\x03\xe8bye", 1000)])
def test_nothing_is_read_after_a_close(payload: bytes, code: int | None) -> None:
    assert decoded(client_frame(payload, CLOSE) + client_frame(b"late")) == [Close(code=code)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x01x", 1002),  # not masked
        (b"\xc2\x81" + MASK + b"x", 1002),  # a reserved bit
        (client_frame(b"x", 3), 1002),
        (client_frame(b"x", 11), 1002),
        (client_frame(b"x", PING, final=False), 1002),
        (client_frame(b"x" * 126, PING), 1002),
        (client_frame(b"x", CONTINUATION), 1002),
        (client_frame(b"x", final=False) + client_frame(b"y"), 1002),
        (client_frame(b"x", TEXT), 1003),
        (b"\x82\xff" + (1 << 62).to_bytes(8, "big") + MASK, 1009),
    ],
)
def test_what_the_standard_forbids_ends_the_stream_with_its_code(data: bytes, code: int) -> None:
    decoder = FrameDecoder()
    with pytest.raises(RemoteProtocolError) as caught:
        list(decoder.feed(data))
    assert caught.value.answer == code
    assert list(decoder.feed(client_frame(b"more"))) == []


def test_what_came_before_an_error_is_delivered() -> None:
    events = FrameDecoder().feed(client_frame(b"good") + b"\xff\xff\xff\xff")
    assert next(events) == Data(payload=b"good")
    with pytest.raises(RemoteProtocolError):
        next(events)


@given(payloads=st.lists(st.binary(max_size=300)), cuts=st.lists(st.integers(1, 50), min_size=1))
def test_however_the_bytes_are_cut_the_stream_is_the_same(payloads: list[bytes], cuts: list[int]) -> None:
    wire, pieces = b"".join(client_frame(payload) for payload in payloads), list[bytes]()
    while wire:
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(wire[:size])
        wire = wire[size:]
    assert stream(decoded(*pieces)) == b"".join(payloads)


@given(st.lists(st.binary(max_size=200)))
def test_garbage_raises_nothing_else(pieces: list[bytes]) -> None:
    with suppress(RemoteProtocolError):
        decoded(*pieces)


def test_what_the_server_sends_is_final_and_not_masked() -> None:
    assert data_frame(b"abc") == b"\x82\x03abc"
    assert data_frame(b"x" * 126)[:4] == b"\x82\x7e\x00\x7e"
    assert data_frame(b"x" * 65536)[:10] == b"\x82\x7f" + (65536).to_bytes(8, "big")
    assert pong_frame(b"?") == b"\x8a\x01?"
    assert close_frame(1002) == b"\x88\x02\x03\xea"
