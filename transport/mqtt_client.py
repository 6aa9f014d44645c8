"""An asyncio MQTT 3.1.1 client, small enough for thousands in one process: no threads, no queue, no reconnecting.

QoS 0 and 1. What one turn of the event loop publishes leaves in one write. When to connect again, and what to send
again then, is the caller's policy.
"""

from __future__ import annotations

import asyncio
import ssl as library_ssl
from collections.abc import Callable

from iot_core.errors import LocalProtocolError
from iot_core.mqtt import Connect, Publish, Subscribe, Unsubscribe, Will
from transport.mqtt_session import ConnectFailed, ConnectionLost, ConnectRefused, Session
from transport.tls import open_tls_connection

__all__ = ["ConnectFailed", "ConnectRefused", "ConnectionLost", "MqttClient"]

CONNECT_SECONDS = 30.0
"""For TCP, TLS and CONNACK together."""


class MqttClient:
    """One connection at a time; after it ended, `connect` can be called again.

    `on_message` gets each message, and QoS 1 is acknowledged when it returns; when it raises, the connection ends.
    `on_disconnect` gets the cause once for every successful `connect`, None after `close`. Both are plain functions.
    """

    __slots__ = ("_on_disconnect", "_on_message", "_session")

    def __init__(
        self,
        *,
        on_message: Callable[[Publish], None] | None = None,
        on_disconnect: Callable[[Exception | None], None] | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_disconnect = on_disconnect
        self._session: Session | None = None

    @property
    def is_connected(self) -> bool:
        """Whether messages can be sent."""
        return self._session is not None and self._session.is_open

    async def connect(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        username: str | None = None,
        password: str | bytes | None = None,
        ssl: library_ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        clean_session: bool = False,
        keep_alive: int = 60,
        will: Will | None = None,
        time_limit: float = CONNECT_SECONDS,
    ) -> bool:
        """Connect and log in; returns whether the server kept a session. `keep_alive` in seconds, 0 for none.

        Raises ConnectFailed, TlsError, ConnectRefused, ConnectionLost, and LocalProtocolError for what MQTT forbids.
        """
        if self.is_connected:
            raise LocalProtocolError("the MQTT client is connected already; close it first")
        packet = Connect(
            client_id=client_id,
            clean_session=clean_session,
            keep_alive=keep_alive,
            username=username,
            password=password.encode() if isinstance(password, str) else password,
            will=will,
        )
        session = Session(self._on_message, self._on_disconnect)
        try:
            async with asyncio.timeout(time_limit):
                await _open(session, host, port, ssl, server_hostname)
                present = await session.log_in(packet)
        except TimeoutError:
            raise ConnectFailed(f"no answer from {host}:{port} within {time_limit:g} s") from None
        except OSError as error:
            raise ConnectFailed(f"cannot reach {host}:{port}: {error.strerror or error}") from error
        finally:
            if not session.is_open:
                session.abort()
        self._session = session
        return present

    async def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send a message. QoS 1: returns when the server has acknowledged it; QoS 0: once the socket takes more.

        Raises ConnectionLost, and LocalProtocolError for a bad topic, for QoS 2 or with 65,535 messages in flight.
        """
        session = self._require_session()
        await session.writable()
        await session.publish(topic, payload, qos, retain)

    def publish_nowait(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> asyncio.Future[None]:
        """Send a message at once; the future ends with the acknowledgement (QoS 0: it is done). Raises as `publish`.

        Nothing holds the caller back: wait for the futures from time to time.
        """
        return self._require_session().publish(topic, payload, qos, retain)

    async def subscribe(self, *filters: str, qos: int = 1) -> tuple[int, ...]:
        """Ask for messages; returns the granted QoS of each filter, 128 where the server refused it."""
        session = self._require_session()
        wanted = tuple((topic_filter, qos) for topic_filter in filters)
        return await session.request(lambda packet_id: Subscribe(packet_id=packet_id, filters=wanted))

    async def unsubscribe(self, *filters: str) -> None:
        """Ask for no more messages under these filters."""
        await self._require_session().request(lambda packet_id: Unsubscribe(packet_id=packet_id, filters=filters))

    async def close(self) -> None:
        """Send what waits, then DISCONNECT, and hang up. What is in flight fails with ConnectionLost."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def abort(self) -> None:
        """Drop the connection without DISCONNECT, as a crash would; the server publishes the will."""
        if self._session is not None:
            self._session.abort()

    def _require_session(self) -> Session:
        if self._session is None:
            raise ConnectionLost("the MQTT client is not connected")
        return self._session


async def _open(
    session: Session, host: str, port: int, ssl: library_ssl.SSLContext | None, server_hostname: str | None
) -> None:
    if ssl is None:
        await asyncio.get_running_loop().create_connection(lambda: session, host, port)
    else:
        # Not asyncio's own TLS: that keeps a read buffer of 256 KiB for each connection.
        await open_tls_connection(lambda: session, host, port, ssl, server_hostname=server_hostname)
