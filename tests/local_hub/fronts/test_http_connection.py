"""Slow clients of the HTTPS port, and what goes to which protocol, without a socket."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from local_hub.fronts import http_connection
from local_hub.fronts.http_connection import MOST_HEAD_BYTES, HttpConnection
from local_hub.fronts.websocket import AMQP, MQTT

KEY = base64.b64encode(bytes(16)).decode()


class Inner(asyncio.Protocol):
    """A protocol that keeps what it is given."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = asyncio.Event()
        self.paused = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.ended.set()

    def abort(self) -> None:
        self.ended.set()

    def is_closing(self) -> bool:
        return self.ended.is_set()

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def connect(*websockets: str) -> tuple[HttpConnection, Wire, Inner, Inner]:
    """A connection, its wire, the HTTP protocol and the one inside WebSockets."""
    http, inside, wire = Inner(), Inner(), Wire()
    connection = HttpConnection(lambda: http, {name: lambda: inside for name in websockets}, lambda: 0.0)
    connection.connection_made(wire)
    return connection, wire, http, inside


def upgrade(path: str, protocol: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    ).encode()


def frame(payload: bytes) -> bytes:
    return bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload


@pytest.mark.parametrize(
    "request_head", [b"GET / HTTP/1.1\r\n\r\n", b"PUT /a HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"]
)
async def test_what_is_no_upgrade_goes_to_http_byte_by_byte_or_whole(request_head: bytes) -> None:
    for pieces in ([request_head], [bytes([byte]) for byte in request_head]):
        connection, _, http, _ = connect(MQTT)
        for piece in (*pieces, b"more"):
            connection.data_received(piece)
        assert http.data == request_head + b"more"
        connection.connection_lost(None)
        assert http.lost


async def test_what_cannot_be_an_upgrade_is_answered_before_its_head_is_whole() -> None:
    connection, _, http, _ = connect(MQTT)
    connection.data_received(b"POST / HT")
    assert http.data == b"POST / HT"
    connection.connection_lost(None)


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/$iothub/websocket", "mqtt"),
        ("/$iothub/websocket", "AMQPWSB10"),
        ("/$servicebus/websocket", "AMQPWSB10"),
        ("/$servicebus/websocket/", "amqpwsb10"),
    ],
)
async def test_each_protocol_has_its_paths_and_reads_and_writes_a_plain_stream(path: str, protocol: str) -> None:
    connection, wire, http, inside = connect(MQTT, AMQP)
    connection.data_received(upgrade(path, protocol) + frame(b"first"))
    assert wire.written.startswith(b"HTTP/1.1 101")
    assert f"Sec-WebSocket-Protocol: {protocol}\r\n".encode() in wire.written
    connection.data_received(frame(b" second") + frame(b" third"))
    assert inside.data == b"first second third"
    inside.transport.write(b"answer")
    assert wire.written.endswith(b"\x82\x06answer")
    assert http.transport is None
    connection.connection_lost(None)
    assert inside.lost


@pytest.mark.parametrize(
    ("path", "protocol"),
    [("/$iothub/websocket", ""), ("/$iothub/websocket", "chat, telnet"), ("/$servicebus/websocket", "mqtt")],
)
async def test_a_subprotocol_that_a_path_does_not_speak_is_refused(path: str, protocol: str) -> None:
    connection, wire, _, _ = connect(MQTT, AMQP)
    connection.data_received(upgrade(path, protocol))
    assert wire.written.startswith(b"HTTP/1.1 400")
    assert b"iothub-errorcode: ArgumentInvalid\r\n" in wire.written
    assert wire.ended.is_set()


async def test_an_upgrade_of_another_path_is_a_request_like_any() -> None:
    connection, _, http, _ = connect(MQTT)
    connection.data_received(upgrade("/devices", "mqtt"))
    assert http.data == upgrade("/devices", "mqtt")
    connection.connection_lost(None)


async def test_a_protocol_that_is_not_built_is_refused_by_name() -> None:
    connection, wire, _, _ = connect(MQTT)
    connection.data_received(upgrade("/$servicebus/websocket", "AMQPWSB10"))
    assert wire.written.startswith(b"HTTP/1.1 501")
    assert b"AMQP over WebSocket" in wire.written
    assert wire.ended.is_set()


async def test_closing_from_inside_says_so_and_nothing_is_written_after_it() -> None:
    connection, wire, _, inside = connect(MQTT)
    connection.data_received(upgrade("/$iothub/websocket", "mqtt"))
    inside.transport.close()
    inside.transport.write(b"late")
    assert wire.written.endswith(b"\x88\x02\x03\xe8")
    assert wire.ended.is_set()
    connection.connection_lost(None)


async def test_flow_control_passes_through() -> None:
    connection, wire, _, inside = connect(MQTT)
    connection.data_received(upgrade("/$iothub/websocket", "mqtt"))
    inside.transport.pause_reading()
    assert wire.paused
    inside.transport.resume_reading()
    assert not wire.paused
    connection.connection_lost(None)


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nX: y\r\n", b"POST / HTTP/1.1\r\nX: y\r\n"])
async def test_a_head_that_does_not_end_in_time_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_S", 0.01)
    connection, wire, _, _ = connect(MQTT)
    connection.data_received(start)
    await asyncio.wait_for(wire.ended.wait(), 5)


async def test_a_head_that_ends_stops_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEAD_S", 0.01)
    connection, wire, _, _ = connect(MQTT)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.ended.wait(), 0.05)
    connection.connection_lost(None)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nX: "])
async def test_a_head_without_an_end_is_bounded(start: bytes) -> None:
    connection, wire, _, _ = connect(MQTT)
    connection.data_received(start + b"a" * MOST_HEAD_BYTES)
    assert wire.ended.is_set()
    assert start.startswith(b"POST") or wire.written.startswith(b"HTTP/1.1 431")


async def test_only_a_client_that_has_asked_nothing_is_hung_up_on_when_the_front_stops() -> None:
    silent, silent_wire, _, _ = connect(MQTT)
    busy, busy_wire, _, _ = connect(MQTT)
    busy.data_received(upgrade("/$iothub/websocket", "mqtt"))
    for connection in (silent, busy):
        connection.end_if_silent()
        connection.connection_lost(None)
    assert (silent_wire.ended.is_set(), busy_wire.ended.is_set()) == (True, False)


async def test_a_client_that_does_not_read_its_response_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "STALL_S", 0.01)
    connection, wire, _, _ = connect(MQTT)
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    connection.pause_writing()
    connection.resume_writing()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wire.ended.wait(), 0.05)
    connection.pause_writing()
    await asyncio.wait_for(wire.ended.wait(), 5)
