"""Clients that never come to the point, over a socket to the MQTT front in this process: they are hung up on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iot_core import sas
from iot_core.identity import Identity
from iot_core.mqtt import ConnAck, Connect, encode
from local_hub.fronts import mqtt
from local_hub.fronts.mqtt import MqttFront
from local_hub.home import HubHome
from local_hub.hub import Hub
from local_hub.server_certificate import prepare_certificates
from transport.mqtt_server import ServerLimits
from transport.tls import ServerContext, tls_protocol_factory

SHORT_S = 0.1
CONNECT = encode(Connect(client_id="d", username="127.0.0.1/d/?api-version=2021-04-12", password=b"x"))

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def serve(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Serves the front, made with short limits, by a protocol factory; gives the address."""
    limits = partial(ServerLimits, connect_seconds=SHORT_S)
    monkeypatch.setattr(mqtt, "ServerLimits", lambda **given: limits(**{**given, "max_keep_alive_seconds": SHORT_S}))
    front, servers = MqttFront(hub), list[asyncio.Server]()

    async def listen(wrap: Callable[[Any], Any] = lambda protocol: protocol) -> tuple[str, int]:
        servers.append(await asyncio.get_running_loop().create_server(wrap(front.protocol), "127.0.0.1", 0))
        host, port = servers[-1].sockets[0].getsockname()
        return host, port

    yield listen
    for server in servers:
        server.close()
    await front.stop()


async def answer_to(address: tuple[str, int], data: bytes) -> bytes:
    """What comes until the hub hangs up; a client's own end stays open."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    try:
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("sent", [0, 1, 2, 20, len(CONNECT) - 1])
async def test_a_connect_that_never_ends_is_hung_up_on(serve: Callable[..., Any], sent: int) -> None:
    assert await answer_to(await serve(), CONNECT[:sent]) == b""


async def test_a_device_that_falls_silent_is_hung_up_on_though_its_keep_alive_is_none(
    hub: Hub, serve: Callable[..., Any]
) -> None:
    made = await hub.registry.put_device("d", {"deviceId": "d"}, None)
    key = made["authentication"]["symmetricKey"]["primaryKey"]
    token = sas.sign(Identity("d").resource("127.0.0.1"), key, int(hub.clock.now()) + 600)
    username = "127.0.0.1/d/?api-version=2021-04-12"
    connect = encode(Connect(client_id="d", username=username, password=token.encode(), keep_alive=0))
    assert await answer_to(await serve(), connect) == encode(ConnAck())


@pytest.mark.parametrize("sent", [0, 5, 60])
async def test_a_tls_handshake_that_never_ends_is_hung_up_on(
    serve: Callable[..., Any], tmp_path: Path, sent: int
) -> None:
    home = HubHome(tmp_path)
    home.create()
    prepare_certificates(home, ("127.0.0.1",))
    context = ServerContext(home.certificate, home.key)
    address = await serve(lambda protocol: tls_protocol_factory(context, protocol, handshake_timeout=SHORT_S))
    assert await answer_to(address, client_hello()[:sent]) == b""


def client_hello() -> bytes:
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="h")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()
