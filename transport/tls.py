"""TLS for every front and for the MQTT client: where to begin.

A server wraps any protocol factory, aiohttp's too:

    factory = tls_protocol_factory(ServerContext("server.pem", "server.key"), inner_factory)
    server = await loop.create_server(factory, host, port)
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from transport.tls_engine import ClientCertificate, ClientEngine, ServerContext, TlsError, VerifyCallback
from transport.tls_layer import HANDSHAKE_SECONDS, TlsProtocol
from transport.tls_transport import TlsTransport

__all__ = [
    "ClientCertificate",
    "ServerContext",
    "TlsError",
    "TlsTransport",
    "VerifyCallback",
    "open_tls_connection",
    "tls_protocol_factory",
]

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


def tls_protocol_factory(
    context: ServerContext,
    inner_factory: Callable[[], asyncio.Protocol],
    *,
    handshake_timeout: float = HANDSHAKE_SECONDS,
) -> Callable[[], asyncio.Protocol]:
    """A protocol factory for `loop.create_server`: TLS outside, `inner_factory`'s protocol inside."""

    def build() -> asyncio.Protocol:
        return TlsProtocol(context.engine(), inner_factory, context, handshake_timeout)

    return build


async def open_tls_connection(
    inner_factory: Callable[[], ProtocolT],
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None = None,
    handshake_timeout: float = HANDSHAKE_SECONDS,
) -> tuple[asyncio.Transport, ProtocolT]:
    """Connect as a client; returns after the handshake. Raises OSError or TlsError."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    inner = inner_factory()
    engine = ClientEngine(context, server_hostname or host)
    layer = TlsProtocol(engine, lambda: inner, context, handshake_timeout, ready)
    await loop.create_connection(lambda: layer, host, port)
    try:
        await ready
    except BaseException:
        layer.abort()
        raise
    return layer.inner_transport, inner
