"""The server's side of an MQTT connection: packets to a handler, and everything the handler sends in one write a turn.

It knows no identities and no topics; those are the handler's. Phases, and what each packet means in them:

    NEW          CONNECT -> CONNECTING; anything else ends the connection (section 3.1)
    CONNECTING   the handler thinks; packets wait until it calls `accept` -> OPEN or `refuse` -> CLOSED
    OPEN         the packets of `_WHEN_OPEN` go to the handler; any other, a second CONNECT too, ends the connection
    CLOSED       nothing is read and nothing is sent
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, Protocol, cast

from iot_core.errors import LocalProtocolError
from iot_core.mqtt import (
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
    Subscribe,
    Unsubscribe,
    encode,
    encode_pubacks,
)

__all__ = ["Handler", "MqttServerProtocol", "ServerLimits"]

KEEP_ALIVE_FACTOR = 1.5
"""A client may be silent for one and a half times its keep-alive (section 3.1.2.10)."""
_PING_RESPONSE = encode(PingResp())
_CONNECTING, _UNACKNOWLEDGED, _UNSENT = 1, 2, 4
"""Bits for the causes that reading is paused."""


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What one client may ask of the server."""

    max_packet_size: int = 256 * 1024 + 65535 + 16
    """Bytes: IoT Hub's 256 KB message, the longest topic, and the headers."""
    connect_seconds: float = 30.0
    """CONNECT must be there by then."""
    max_unacknowledged: int = 1024
    """Publishes that wait for `ack`; with more, nothing is read until half of them are done."""
    max_unsent: int = 4 * 1024 * 1024
    """Bytes that wait for a client that does not read; with more, it is cut off."""
    max_keep_alive_seconds: float | None = None
    """Upper bound of the silence allowed; applies to a client with keep-alive 0 too."""


class Handler(Protocol):
    """What a server does with the packets. Called from the event loop, in the order of arrival; must not block.

    Every connection that `on_connect` was told of is told to `on_disconnect` exactly once, and nothing after that.
    """

    def on_connect(self, connection: MqttServerProtocol, packet: Connect) -> None:
        """Call `connection.accept()` or `connection.refuse(code)`, now or later; until then the client has to wait."""

    def on_publish(self, connection: MqttServerProtocol, packets: Sequence[Publish]) -> None:
        """Publishes that came one after another in one read, at least one.

        QoS 1: call `connection.ack` with each packet id, now or later. QoS 2 arrives too: close, or it never ends.
        What is behind a publish for which the handler closes the connection is void.
        """

    def on_subscribe(self, connection: MqttServerProtocol, packet: Subscribe) -> None:
        """Answer with `connection.send(SubAck(...))`."""

    def on_unsubscribe(self, connection: MqttServerProtocol, packet: Unsubscribe) -> None:
        """Answer with `connection.send(UnsubAck(...))`."""

    def on_puback(self, connection: MqttServerProtocol, packet_id: int) -> None:
        """The client took a QoS 1 message over."""

    def on_disconnect(self, connection: MqttServerProtocol, clean: bool, reason: str) -> None:
        """The connection is over; `clean` when the client sent DISCONNECT, which makes its will void."""


class Phase(enum.Enum):
    """Where a connection stands."""

    NEW = enum.auto()
    CONNECTING = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class MqttServerProtocol(asyncio.Protocol):
    """One client's connection, which is also what a handler gets to answer on.

    `session` is free for the handler's own use. Methods that send do nothing once the connection is over.
    """

    __slots__ = (
        "_batching",
        "_decoder",
        "_handler",
        "_heard",
        "_held",
        "_limits",
        "_loop",
        "_out",
        "_pauses",
        "_phase",
        "_scheduled",
        "_silence",
        "_timer",
        "_transport",
        "_unacknowledged",
        "session",
    )

    _loop: asyncio.AbstractEventLoop
    _transport: asyncio.Transport

    def __init__(self, handler: Handler, limits: ServerLimits | None = None) -> None:
        self._handler = handler
        self._limits = limits or ServerLimits()
        self._decoder = Decoder(self._limits.max_packet_size)
        self._phase = Phase.NEW
        self._pauses = 0
        self._held: list[Packet] = []
        self._out: list[bytes] = []
        # Packet id -> whether the handler is done with it, in the order of arrival.
        self._unacknowledged: dict[int, bool] = {}
        self._batching = False
        self._scheduled = False
        self._heard = 0.0
        self._silence = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.session: Any = None

    # For the handler.

    @property
    def is_open(self) -> bool:
        """Whether the client is accepted and the connection stands."""
        return self._phase is Phase.OPEN

    @property
    def is_congested(self) -> bool:
        """Whether the client reads slower than we send; what can wait should."""
        return bool(self._pauses & _UNSENT)

    @property
    def peer(self) -> tuple[str, int] | None:
        """The client's address and port."""
        name = self._transport.get_extra_info("peername")
        return (name[0], name[1]) if name else None

    @property
    def peer_certificate_der(self) -> bytes | None:
        """The certificate that the client showed in the TLS handshake."""
        return cast("bytes | None", self._transport.get_extra_info("peercert_der"))

    @property
    def peer_chain_der(self) -> tuple[bytes, ...]:
        """All the certificates that the client showed, its own first; nobody has judged them."""
        return cast("tuple[bytes, ...]", self._transport.get_extra_info("peercert_chain_der", ()))

    def hand_to(self, handler: Handler, packet: Connect) -> None:
        """Let another handler have the connection: what a handler does in `on_connect` when it is not for it."""
        self._handler = handler
        handler.on_connect(self, packet)

    def accept(self, *, session_present: bool = False) -> None:
        """Let the client in. Raises LocalProtocolError unless it waits for that."""
        if self._phase is Phase.CLOSED:
            return
        if self._phase is not Phase.CONNECTING:
            raise LocalProtocolError("only a client that waits after CONNECT can be accepted")
        self._phase = Phase.OPEN
        self._heard = self._loop.time()
        self._watch()
        self._send(encode(ConnAck(session_present=session_present)))
        if self._held:
            self._loop.call_soon(self._take_held)
        else:
            self._resume(_CONNECTING)

    def refuse(self, code: int) -> None:
        """Answer CONNECT with a return code (section 3.2.2.3) and close."""
        if self._phase is Phase.CONNECTING:
            self._send(encode(ConnAck(code=code)))
            self._end(clean=False, reason=f"refused with return code {code}")

    def send(self, packet: Packet) -> None:
        """Send a packet; all those of one turn of the event loop leave in one write. CONNACK has `accept`, `refuse`."""
        if self._phase is Phase.OPEN:
            self._send(encode(packet))

    def ack(self, *packet_ids: int) -> None:
        """QoS 1 messages are taken over. PUBACKs leave in the order of the messages, not of these calls."""
        waiting = self._unacknowledged
        for packet_id in packet_ids:
            if packet_id in waiting:
                waiting[packet_id] = True
        self._acknowledge_done()

    def forget(self, packet_id: int) -> None:
        """A QoS 1 message gets no PUBACK; those after it do."""
        if self._unacknowledged.pop(packet_id, None) is not None:
            self._acknowledge_done()

    def _acknowledge_done(self) -> None:
        waiting = self._unacknowledged
        if done := list(takewhile(waiting.get, waiting)):
            for packet_id in done:
                del waiting[packet_id]
            self._send(encode_pubacks(done))
        if self._pauses and len(waiting) <= self._limits.max_unacknowledged // 2:
            self._resume(_UNACKNOWLEDGED)

    def close(self, reason: str = "closed by the server") -> None:
        """Send what waits, then hang up."""
        self._end(clean=False, reason=reason)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(self._limits.connect_seconds, self._connect_expired)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.CLOSED:
            return
        self._heard = self._loop.time()
        self._batching = True
        try:
            self._take(self._decoder.feed(data))
        except MalformedPacket as error:
            self._take(error.before)
            self._reject(error)
        finally:
            self._batching = False
            self._flush()

    def eof_received(self) -> None:
        self._end(clean=False, reason="the client hung up without DISCONNECT")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(clean=False, reason=f"connection lost: {exc}" if exc else "the client hung up without DISCONNECT")

    def pause_writing(self) -> None:
        self._pause(_UNSENT)

    def resume_writing(self) -> None:
        # A client that takes what is sent to it is alive, though we did not read its pings meanwhile.
        self._heard = self._loop.time()
        self._resume(_UNSENT)

    # Packets in.

    def _take(self, packets: list[Packet]) -> None:
        position = 0
        while position < len(packets) and self._phase is not Phase.CLOSED:
            packet = packets[position]
            if self._phase is Phase.NEW:
                self._connect(packet)
            elif self._phase is Phase.CONNECTING or self._held:
                self._held.extend(packets[position:])
                return
            elif publishes := _publishes(packets, position):
                self._publish(publishes)
                position += len(publishes)
                continue
            else:
                _WHEN_OPEN.get(type(packet), _unexpected)(self, packet)
            position += 1

    def _take_held(self) -> None:
        held, self._held = self._held, []
        self._batching = True
        try:
            self._take(held)
        finally:
            self._batching = False
            self._flush()
        self._resume(_CONNECTING)

    def _connect(self, packet: Packet) -> None:
        if not isinstance(packet, Connect):
            self._end(clean=False, reason=f"{_name(packet)} before CONNECT")
            return
        self._cancel_timer()
        self._phase = Phase.CONNECTING
        self._silence = self._silence_allowed(packet.keep_alive)
        self._handler.on_connect(self, packet)
        if self._phase is Phase.CONNECTING:
            self._pause(_CONNECTING)

    def _publish(self, packets: list[Publish]) -> None:
        fresh: list[Publish] = []
        twice: Publish | None = None
        waiting = self._unacknowledged
        for packet in packets:
            if packet.qos == 1:
                if packet.packet_id in waiting:
                    if packet.dup:
                        continue
                    twice = packet
                    break
                waiting[packet.packet_id] = False
            fresh.append(packet)
        if len(waiting) > self._limits.max_unacknowledged:
            self._pause(_UNACKNOWLEDGED)
        if fresh:
            self._handler.on_publish(self, fresh)
        if twice is not None:
            self._end(clean=False, reason=f"packet id {twice.packet_id} is used twice at once")

    def _puback(self, packet: PubAck) -> None:
        self._handler.on_puback(self, packet.packet_id)

    def _subscribe(self, packet: Subscribe) -> None:
        self._handler.on_subscribe(self, packet)

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        self._handler.on_unsubscribe(self, packet)

    def _ping(self, _packet: PingReq) -> None:
        self._send(_PING_RESPONSE)

    def _disconnect(self, _packet: Disconnect) -> None:
        self._end(clean=True, reason="the client disconnected")

    def _reject(self, error: MalformedPacket) -> None:
        """A malformed CONNECT is answered where the standard has a code for it; anything else just ends."""
        if self._phase is Phase.NEW and error.answer is not None:
            self._send(encode(ConnAck(code=error.answer)))
        self._end(clean=False, reason=f"protocol error: {error}")

    # Bytes out, pauses, time and the end.

    def _send(self, data: bytes) -> None:
        self._out.append(data)
        if not self._batching and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self._out:
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._transport.write(data)
        if self.is_congested and self._transport.get_write_buffer_size() > self._limits.max_unsent:
            self._end(clean=False, reason="the client does not read what is sent to it", abort=True)

    def _pause(self, cause: int) -> None:
        if not self._pauses and self._phase is not Phase.CLOSED:
            self._transport.pause_reading()
        self._pauses |= cause

    def _resume(self, cause: int) -> None:
        if self._pauses & cause:
            self._pauses &= ~cause
            if not self._pauses and self._phase is not Phase.CLOSED:
                self._transport.resume_reading()

    def _silence_allowed(self, keep_alive: int) -> float:
        """Seconds; 0 when there is no limit."""
        allowed = keep_alive * KEEP_ALIVE_FACTOR
        longest = self._limits.max_keep_alive_seconds
        return allowed if longest is None else min(allowed or longest, longest)

    def _watch(self) -> None:
        if self._silence and self._timer is None and self._phase is Phase.OPEN:
            self._timer = self._loop.call_later(self._silence, self._check_silence)

    def _check_silence(self) -> None:
        """The one timer of a connection: it looks when the client was last heard, instead of being set anew."""
        now = self._loop.time()
        if self._pauses & _UNACKNOWLEDGED:
            # Not reading is our own doing then.
            self._heard = now
        left = self._heard + self._silence - now
        if left <= 0:
            self._end(clean=False, reason="keep-alive ran out")
        else:
            self._timer = self._loop.call_later(left, self._check_silence)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _connect_expired(self) -> None:
        self._end(clean=False, reason="no CONNECT within the time limit")

    def _end(self, *, clean: bool, reason: str, abort: bool = False) -> None:
        if self._phase is Phase.CLOSED:
            return
        known = self._phase is not Phase.NEW
        self._phase = Phase.CLOSED
        self._cancel_timer()
        self._held.clear()
        self._unacknowledged.clear()
        if abort:
            self._transport.abort()
        else:
            self._flush()
            self._transport.close()
        if known:
            # Later, because it may well be the handler that called us.
            self._loop.call_soon(self._handler.on_disconnect, self, clean, reason)


def _name(packet: Packet) -> str:
    return type(packet).__name__.upper()


def _publishes(packets: list[Packet], start: int) -> list[Publish]:
    """The publishes that stand at ``start``, up to the first other packet."""
    found: list[Publish] = []
    for packet in islice(packets, start, None):
        if not isinstance(packet, Publish):
            break
        found.append(packet)
    return found


def _unexpected(connection: MqttServerProtocol, packet: Packet) -> None:
    connection.close(f"a client must not send {_name(packet)} now")


_WHEN_OPEN: dict[type[Packet], Callable[[MqttServerProtocol, Any], None]] = {
    PubAck: MqttServerProtocol._puback,
    Subscribe: MqttServerProtocol._subscribe,
    Unsubscribe: MqttServerProtocol._unsubscribe,
    PingReq: MqttServerProtocol._ping,
    Disconnect: MqttServerProtocol._disconnect,
}
