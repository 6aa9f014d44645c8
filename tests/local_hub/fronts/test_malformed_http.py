"""What is no HTTP, no WebSocket or no JSON is answered or hung up on, and the hub goes on as before."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iot_core import sas

UPGRADE = (
    b"GET /$iothub/websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: "
    + base64.b64encode(bytes(16))
    + b"\r\n"
)

REQUESTS = {
    "not http": b"hello\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "tls inside tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "mqtt": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
    "amqp": b"AMQP\x03\x01\x00\x00",
    "http 0.9": b"GET /\r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\n\r\n",
    "absolute garbage path": b"GET \xff\xfe\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "null in header": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    "very long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "head without an end": b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
    "negative length": b"POST /devices HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /devices HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /devices HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk that is none": b"POST /devices HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "upgrade without key": UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key") + b"\r\n",
    "upgrade of another version": UPGRADE.replace(b"Version: 13", b"Version: 7") + b"\r\n",
    "upgrade to nothing": UPGRADE.replace(b"Protocol: mqtt", b"Protocol: telnet") + b"\r\n",
    "upgrade to amqp in capitals": UPGRADE.replace(b"Protocol: mqtt", b"Protocol: STOMP, v1") + b"\r\n",
}

FRAMES = {
    "not masked": (b"\x82\x05hello", 1002),
    "of reserved kind": (b"\x83\x80" + bytes(4), 1002),
    "of 2^62 bytes": (b"\x82\xff\x40" + bytes(7) + bytes(4), 1009),
    "continuation of nothing": (b"\x80\x81" + bytes(4) + b"x", 1002),
    "text": (b"\x81\x81" + bytes(4) + b"x", 1003),
    "a ping in parts": (b"\x09\x80" + bytes(4), 1002),
    "garbage inside": (b"\x82\xfe\x01\x00" + bytes(4) + b"\xff" * 256, 1000),
    "a packet of 256 MB inside": (b"\x82\x85" + bytes(4) + b"\x30\xff\xff\xff\x7f", 1000),
}
"""Frames, and the code that the connection is closed with."""

PUTS = {
    "nothing": b"",
    "half an object": b'{"deviceId": "d"',
    "not a number": b'{"a": NaN}',
    "not unicode": b'{"a": "\xff"}',
    "half a surrogate": b'{"status": "\\ud800"}',
    "very deep": b"[" * 100_000,
    "very deep object": b'{"a":' * 100_000,
    "huge number": b'{"status": 1' + b"0" * 5_000 + b"}",
    "same key twice": b'{"status": "enabled", "status": 1}',
    "utf-16": '{"status": "enabled"}'.encode("utf-16"),
    "list": b"[]",
}


@pytest.fixture
async def healthy(rest: Any) -> AsyncIterator[None]:
    """The hub serves after the test as it did before."""
    yield
    assert (await rest.call("GET", "/statistics/devices")).status == 200


@asynccontextmanager
async def dialled(hub: Any, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """What the hub says to some bytes."""
    reader, writer = await asyncio.open_connection(hub.host, hub.running["http_port"], ssl=hub.tls)
    writer.write(data)
    try:
        yield reader
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(hub: Any, data: bytes) -> bytes:
    """All that the hub says to some bytes, until it hangs up."""
    async with dialled(hub, data) as reader:
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", REQUESTS)
async def test_bad_requests_are_refused_or_hung_up_on(hub: Any, name: str) -> None:
    answer = await answer_to(hub, REQUESTS[name] + b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert b"Traceback" not in answer


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", FRAMES)
async def test_bad_frames_close_the_websocket_with_their_code(hub: Any, name: str) -> None:
    frames, code = FRAMES[name]
    answer = await answer_to(hub, UPGRADE + b"\r\n" + frames)
    assert answer.startswith(b"HTTP/1.1 101")
    assert answer.endswith(b"\x88\x02" + code.to_bytes(2, "big"))


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("name", PUTS)
async def test_bodies_that_are_not_right_are_refused(rest: Any, name: str) -> None:
    answer = await rest.call("PUT", f"/devices/d-{os.urandom(4).hex()}", data=PUTS[name])
    assert 400 <= answer.status < 500
    assert answer.headers["iothub-errorcode"] in ("IotHubFormatError", "ArgumentInvalid")


async def test_a_body_that_is_cut_off_harms_nobody(hub: Any, rest: Any) -> None:
    head = f"PUT /devices/half?api-version=2021-04-12 HTTP/1.1\r\nHost: {hub.owner.host_name}\r\n"
    token = sas.token_for(hub.owner, time.time())
    async with dialled(hub, f"{head}Authorization: {token}\r\nContent-Length: 100\r\n\r\n{{".encode()):
        pass
    assert (await rest.call("GET", "/devices/half")).status == 404


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200))
async def test_random_bytes_are_never_served(hub: Any, data: bytes) -> None:
    answer = await answer_to(hub, data + b"\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 2")
    assert b"Traceback" not in answer


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=200))
async def test_random_frames_are_read_after_the_upgrade_only(hub: Any, frames: bytes) -> None:
    async with dialled(hub, UPGRADE + b"\r\n" + frames) as reader:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=8,
    )
)
async def test_any_json_is_taken_or_refused_by_name(rest: Any, value: Any) -> None:
    data = json.dumps({"tags": value, "properties": {"desired": value}}).encode("utf-8", "surrogatepass")
    for verb, path in (("PATCH", "/twins/nobody"), ("POST", "/devices"), ("POST", "/devices/query")):
        answer = await rest.call(verb, path, data=data if verb == "PATCH" else json.dumps(value).encode())
        assert answer.status in (200, 400, 404)
        assert answer.status == 200 or answer.headers["iothub-errorcode"]
