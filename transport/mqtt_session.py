"""One MQTT connection of a client, from CONNECT to its end: answers matched to requests, pings, one write a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from iot_core.errors import EdgeyardError, LocalProtocolError, RemoteProtocolError
from iot_core.mqtt import (
    BAD_CREDENTIALS,
    IDENTIFIER_REJECTED,
    NOT_AUTHORIZED,
    SERVER_UNAVAILABLE,
    UNACCEPTABLE_VERSION,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    MalformedPacket,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    encode,
    encode_pubacks,
    encode_publish,
)

__all__ = ["ConnectFailed", "ConnectRefused", "ConnectionLost", "Session"]

MAX_PACKET_SIZE = 1024 * 1024
"""Bytes. Four times IoT Hub's largest message."""
MAX_PACKET_ID = 65535
PING_FACTOR = 0.5
"""A ping goes out after half a keep-alive in which we sent or heard nothing, so the server never waits a whole one."""
SILENCE_FACTOR = 1.5
"""A server that has sent nothing for so many keep-alives, pings answered included, is dead."""
_REFUSALS = {
    UNACCEPTABLE_VERSION: "it does not speak MQTT 3.1.1",
    IDENTIFIER_REJECTED: "it rejects the client id",
    SERVER_UNAVAILABLE: "it is unavailable",
    BAD_CREDENTIALS: "bad user name or password",
    NOT_AUTHORIZED: "not authorized",
}


class ConnectFailed(EdgeyardError):
    """The server could not be reached, or did not answer in time."""


class ConnectRefused(RemoteProtocolError):
    """The server answered CONNECT with a refusal; `code` is the CONNACK return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the MQTT server refused the connection: {_REFUSALS.get(code, 'unknown reason')} ({code})")
        self.code = code


class ConnectionLost(EdgeyardError):
    """The connection ended before an answer came."""


class Session(asyncio.Protocol):
    """One connection of a client, from the socket to its end."""

    __slots__ = (
        "_acks",
        "_decoder",
        "_drained",
        "_ended",
        "_flushing",
        "_heard",
        "_keep_alive",
        "_last_id",
        "_loop",
        "_lost",
        "_on_disconnect",
        "_on_message",
        "_out",
        "_replies",
        "_sent",
        "_timer",
        "_transport",
        "_welcome",
        "is_open",
    )

    def __init__(
        self,
        on_message: Callable[[Publish], None] | None,
        on_disconnect: Callable[[Exception | None], None] | None,
    ) -> None:
        self._on_message = on_message
        self._on_disconnect = on_disconnect
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(MAX_PACKET_SIZE)
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._welcome: asyncio.Future[bool] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._replies: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._out: list[bytes] = []
        self._flushing = False
        self._ended = False
        self._last_id = 0
        self._keep_alive = 0
        self._heard = self._sent = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.is_open = False

    # For the client.

    async def log_in(self, packet: Connect) -> bool:
        """Send CONNECT and wait for CONNACK; returns whether the server kept a session."""
        if self._ended:
            raise ConnectionLost("the MQTT server hung up")
        self._keep_alive = packet.keep_alive
        self._welcome = self._loop.create_future()
        self._send(encode(packet))
        return await self._welcome

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> asyncio.Future[None]:
        self._require_open()
        if qos > 1:
            raise LocalProtocolError(f"QoS {qos} is not supported by this client: use 0 or 1")
        packet_id = self._free_id() if qos else 0
        packet = Publish(topic=topic, payload=payload, qos=qos, packet_id=packet_id, retain=retain)
        self._send(encode_publish(packet))
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        if qos:
            self._acks[packet_id] = acknowledged
        else:
            acknowledged.set_result(None)
        return acknowledged

    async def request(self, build: Callable[[int], Subscribe | Unsubscribe]) -> tuple[int, ...]:
        """Send SUBSCRIBE or UNSUBSCRIBE and wait for its answer; the codes of a SUBACK, else nothing."""
        self._require_open()
        packet_id = self._free_id()
        packet = build(packet_id)
        reply: asyncio.Future[tuple[int, ...]] = self._loop.create_future()
        self._replies[packet_id] = reply
        self._send(encode(packet))
        return await reply

    async def writable(self) -> None:
        """Wait while the socket takes no more."""
        while self._drained is not None and self.is_open:
            await asyncio.shield(self._drained)

    async def close(self) -> None:
        if self.is_open:
            self._send(encode(Disconnect()))
            self._end(None)
        await asyncio.shield(self._lost)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            self._take(self._decoder.feed(data))
        except MalformedPacket as error:
            self._take(error.before)
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(ConnectionLost(f"the MQTT connection was lost: {exc}" if exc else "the MQTT server hung up"))
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # Packets in.

    def _take(self, packets: list[Packet]) -> None:
        try:
            for packet in packets:
                if self._ended:
                    return
                _TAKERS.get(type(packet), _unexpected)(self, packet)
        except RemoteProtocolError as error:
            self._end(error)

    def _take_connack(self, packet: ConnAck) -> None:
        if self._welcome is None or self._welcome.done():
            raise RemoteProtocolError("the MQTT server sent CONNACK, but not in answer to CONNECT")
        if packet.code:
            self._end(ConnectRefused(packet.code))
            return
        self.is_open = True
        self._welcome.set_result(packet.session_present)
        if self._keep_alive:
            self._timer = self._loop.call_later(self._keep_alive * PING_FACTOR, self._beat)

    def _take_publish(self, packet: Publish) -> None:
        if packet.qos > 1:
            raise RemoteProtocolError("the MQTT server sent a message of QoS 2, which was not asked for")
        if self._on_message is not None:
            self._on_message(packet)
        if packet.qos:
            self._send(encode_pubacks((packet.packet_id,)))

    def _take_puback(self, packet: PubAck) -> None:
        acknowledged = self._acks.pop(packet.packet_id, None)
        if acknowledged is not None and not acknowledged.done():
            acknowledged.set_result(None)

    def _take_suback(self, packet: SubAck) -> None:
        self._reply(packet.packet_id, packet.codes)

    def _take_unsuback(self, packet: UnsubAck) -> None:
        self._reply(packet.packet_id, ())

    def _take_pong(self, _packet: PingResp) -> None:
        """Nothing to do: anything heard proves the server alive."""

    def _reply(self, packet_id: int, codes: tuple[int, ...]) -> None:
        reply = self._replies.pop(packet_id, None)
        if reply is not None and not reply.done():
            reply.set_result(codes)

    # Bytes out, time and the end.

    def _require_open(self) -> None:
        if not self.is_open:
            raise ConnectionLost("the MQTT client is not connected")

    def _free_id(self) -> int:
        if len(self._acks) + len(self._replies) >= MAX_PACKET_ID:
            raise LocalProtocolError(f"{MAX_PACKET_ID} MQTT messages wait for an answer: no packet id is free")
        packet_id = self._last_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self._acks and packet_id not in self._replies:
                self._last_id = packet_id
                return packet_id

    def _send(self, data: bytes) -> None:
        self._out.append(data)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._out and self._transport is not None:
            data = b"".join(self._out)
            self._out.clear()
            self._sent = self._loop.time()
            self._transport.write(data)

    def _beat(self) -> None:
        now = self._loop.time()
        if now - self._heard >= self._keep_alive * SILENCE_FACTOR:
            self._end(ConnectionLost(f"the MQTT server was silent for {now - self._heard:.0f} s"), abort=True)
            return
        if now - min(self._heard, self._sent) >= self._keep_alive * PING_FACTOR:
            self._send(encode(PingReq()))
        self._timer = self._loop.call_later(self._keep_alive * PING_FACTOR, self._beat)

    def _end(self, error: Exception | None, *, abort: bool = False) -> None:
        """The first cause counts; everyone who waits hears of it."""
        if self._ended:
            return
        self._ended = True
        was_open, self.is_open = self.is_open, False
        if self._timer is not None:
            self._timer.cancel()
        if abort:
            self.abort()
        elif self._transport is not None:
            self._flush()
            self._transport.close()
        self._fail_waiting(error or ConnectionLost("the MQTT client was closed before the answer came"))
        self.resume_writing()
        if was_open and self._on_disconnect is not None:
            self._on_disconnect(error)

    def _fail_waiting(self, error: Exception) -> None:
        waiting: list[asyncio.Future[Any]] = [*self._acks.values(), *self._replies.values()]
        if self._welcome is not None:
            waiting.append(self._welcome)
        self._acks.clear()
        self._replies.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)


def _unexpected(_session: Session, packet: Packet) -> None:
    raise RemoteProtocolError(f"the MQTT server sent {type(packet).__name__.upper()}, which only clients send")


_TAKERS: dict[type[Packet], Callable[[Session, Any], None]] = {
    ConnAck: Session._take_connack,
    Publish: Session._take_publish,
    PubAck: Session._take_puback,
    SubAck: Session._take_suback,
    UnsubAck: Session._take_unsuback,
    PingResp: Session._take_pong,
}
