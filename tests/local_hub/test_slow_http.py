"""Clients that send or take too slowly, over a plain socket to the HTTP front in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from iot_core import sas
from local_hub.fronts import http, http_connection
from local_hub.fronts.http import HttpFront
from local_hub.hub import Hub

Dial = Callable[[bytes], Any]


@pytest.fixture
async def dial(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dial]:
    """Opens a connection and sends bytes; every limit of time is short."""
    for module, name in (
        (http, "_BODY_S"),
        (http, "_IDLE_S"),
        (http_connection, "HEAD_S"),
        (http_connection, "STALL_S"),
    ):
        monkeypatch.setattr(module, name, 0.1)
    front = HttpFront(hub)
    server = await asyncio.get_running_loop().create_server(front.protocol, "127.0.0.1", 0)

    @asynccontextmanager
    async def connect(data: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(data)
        yield reader, writer
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()

    yield connect
    server.close()
    await front.stop()


def request(hub: Hub, verb: str, path: str, *headers: str) -> bytes:
    key = hub.policies.get("iothubowner").primary_key
    token = sas.sign("127.0.0.1", key, int(hub.clock.now()) + 600, "iothubowner")
    lines = (f"{verb} {path}?api-version=2021-04-12 HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {token}", *headers)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the front hangs up."""
    with suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 10)
    return b""


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"PUT /devices/d HTTP/1.1\r\nHost: h\r\n"])
async def test_a_head_that_never_ends_is_hung_up_on(dial: Dial, data: bytes) -> None:
    async with dial(data) as (reader, _):
        assert await all_of(reader) == b""


async def test_a_body_that_never_ends_is_answered_408(hub: Hub, dial: Dial) -> None:
    async with dial(request(hub, "PUT", "/devices/d", "Content-Length: 100") + b"{") as (reader, _):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("rest", [b"", b"GET /statistics/dev"])
async def test_a_connection_that_asks_nothing_more_is_closed(hub: Hub, dial: Dial, rest: bytes) -> None:
    async with dial(request(hub, "GET", "/statistics/devices") + rest) as (reader, _):
        assert (await all_of(reader)).startswith(b"HTTP/1.1 200")


async def test_a_client_that_does_not_read_is_cut_off(hub: Hub, dial: Dial) -> None:
    for number in range(100):
        await hub.registry.put_device(f"d{number}", {}, None)
    # Answers of 60 KB each, far more than the buffers of both sides hold.
    async with dial(request(hub, "GET", "/devices") * 400) as (_, writer):
        async with asyncio.timeout(10):
            while not writer.transport.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.01)
