"""The server's side of an AMQP connection: events of the engine to a handler, and its answers in one write a turn.

It knows no addresses and no identities; those are the handler's. Opens and begins are answered here, logins, attaches
and messages by the handler. The states of the protocol are the engine's (`iot_core.amqp.states`); here there are only

    OPEN       what arrives goes to the engine, and what it makes of it to the handler
    CLOSING    our close is sent; the peer has `CLOSE_SECONDS` to answer it
    CLOSED     nothing is read and nothing is sent
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from iot_core.amqp import (
    AmqpViolation,
    Connection,
    ConnectionClosed,
    ConnectionOpened,
    Delivery,
    DeliveryReceived,
    DeliveryUpdated,
    ErrorCondition,
    Event,
    Link,
    LinkAttached,
    LinkDetached,
    LinkDrained,
    LinkFlow,
    Open,
    Receiver,
    SaslRequested,
    SaslResponseReceived,
    Sender,
    Session,
    SessionBegun,
    SessionEnded,
    Settings,
)
from iot_core.amqp.states import State
from iot_core.errors import LocalProtocolError

__all__ = ["AmqpServerProtocol", "Handler", "ServerLimits"]

CLOSE_SECONDS = 5.0
"""A peer that has not answered our close by then is cut off."""
_DECIDING, _UNSENT = 1, 2
"""Bits for the causes that reading is paused."""


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What one client may ask of the server, besides the engine's `Settings`."""

    open_seconds: float = 30.0
    """Login and open must be done by then."""
    max_unsent: int = 16 * 1024 * 1024
    """Bytes that wait for a client that does not read; with more, it is cut off."""


class Handler(Protocol):
    """What a server does with its clients. Called from the event loop, in the order of arrival; must not block.

    Every link that `on_attach` was told of is told to `on_detach` exactly once, and every connection that `on_login` or
    `on_open` was told of to `on_disconnect`, last. Sending to what has ended meanwhile does nothing.
    """

    def on_login(self, connection: AmqpServerProtocol, login: SaslRequested) -> None:
        """Call `connection.accept_login()`, `refuse_login()` or `challenge_login()`, now or later. Clients without SASL
        do not come here.
        """

    def on_login_response(self, connection: AmqpServerProtocol, response: bytes) -> None:
        """A client has answered `connection.challenge_login(...)`: as for `on_login`."""

    def on_open(self, connection: AmqpServerProtocol, peer: Open) -> None:
        """The client opens; it is answered after this, unless the connection is closed here."""

    def on_attach(self, connection: AmqpServerProtocol, link: Link) -> None:
        """Call `link.send_attach(...)` or `link.refuse(...)`, now or later; then give a Receiver credit."""

    def on_detach(self, connection: AmqpServerProtocol, link: Link, error: ErrorCondition | None) -> None:
        """The link is over."""

    def on_delivery(self, connection: AmqpServerProtocol, link: Receiver, delivery: Delivery) -> None:
        """Call `link.settle(delivery, state)`, now or later. To a request, settle first and then reply."""

    def on_credit(self, connection: AmqpServerProtocol, link: Sender) -> None:
        """Look again whether `link.can_send`; where `link.is_draining`, end with `link.send_drained()`."""

    def on_update(self, connection: AmqpServerProtocol, link: Link, delivery: Delivery) -> None:
        """The client has given a delivery a state or settled it. A Sender has to settle what the client has not."""

    def on_disconnect(self, connection: AmqpServerProtocol, clean: bool, reason: str) -> None:
        """The connection is over; `clean` when the client closed it."""


class Phase(enum.Enum):
    """Where a connection stands."""

    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class AmqpServerProtocol(asyncio.Protocol):
    """One client's connection, which is also what a handler gets to answer on. `session` is free for the handler."""

    _loop: asyncio.AbstractEventLoop
    _transport: asyncio.Transport

    def __init__(self, handler: Handler, settings: Settings, limits: ServerLimits | None = None) -> None:
        self._handler = handler
        self._limits = limits or ServerLimits()
        self._engine = Connection(settings, is_server=True, on_output=self._output)
        self._phase = Phase.OPEN
        self._pauses = 0
        self._batching = False
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_known = False
        self._clean = False
        self.session: Any = None

    # For the handler.

    @property
    def is_open(self) -> bool:
        """Whether both sides have opened and neither has closed."""
        return self._phase is Phase.OPEN and self._engine.endpoint.state is State.OPEN

    @property
    def is_congested(self) -> bool:
        """Whether the client reads slower than we send: wait, `on_credit` is called when that is over."""
        return bool(self._pauses & _UNSENT)

    @property
    def peer(self) -> tuple[str, int] | None:
        """The client's address and port."""
        name = self._transport.get_extra_info("peername")
        return (name[0], name[1]) if name else None

    @property
    def peer_chain_der(self) -> tuple[bytes, ...]:
        """All the certificates that the client showed, its own first; nobody has judged them."""
        return cast("tuple[bytes, ...]", self._transport.get_extra_info("peercert_chain_der", ()))

    @property
    def peer_open(self) -> Open | None:
        """What the client opened with."""
        return self._engine.peer

    def accept_login(self) -> None:
        """Let the client in."""
        self._decide(is_accepted=True)

    def refuse_login(self) -> None:
        """Answer the client's SASL with no, and hang up."""
        self._decide(is_accepted=False)

    def challenge_login(self, data: bytes) -> None:
        """Ask a client that logs in for one more response."""
        if self._phase is not Phase.CLOSED:
            self._engine.send_sasl_challenge(data)
            self._read_on()

    def begin_session(self) -> Session:
        """A session begun by the server. Raises LocalProtocolError unless the connection is open."""
        return self._engine.begin_session()

    def close(self, error: ErrorCondition | None = None) -> None:
        """Send what waits and a close, and hang up when the client has answered it."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.CLOSING
            self._engine.send_close(error)
            self._set_deadline(CLOSE_SECONDS, "the client did not answer our close")
            self._output()

    def abort(self, reason: str) -> None:
        """Hang up at once."""
        self._end(reason, abort=True)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._engine.receive_data(b"", self._loop.time())
        self._set_deadline(self._limits.open_seconds, "no open within the time limit")

    def data_received(self, data: bytes) -> None:
        if self._phase is not Phase.CLOSED:
            self._engine.receive_data(data, self._loop.time())
            self._take()

    def eof_received(self) -> None:
        self._end("the client hung up without close")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "the client hung up without close")

    def pause_writing(self) -> None:
        self._pause(_UNSENT)

    def resume_writing(self) -> None:
        self._resume(_UNSENT)
        self._batch(self._offer_credit)

    # Events in.

    def _take(self) -> None:
        self._batch(self._dispatch_all)

    def _batch(self, work: Callable[[], None]) -> None:
        """All that the work sends leaves in one write."""
        self._batching = True
        try:
            work()
        finally:
            self._batching = False
            self._flush()

    def _dispatch_all(self) -> None:
        try:
            while self._phase is not Phase.CLOSED and (event := self._engine.next_event()) is not None:
                self._dispatch(event)
        except AmqpViolation as violation:
            self._end(f"protocol error: {violation}")
        except LocalProtocolError as error:
            self._end(f"the client cannot be answered: {error}", abort=True)
        if self._engine.is_waiting_for_outcome:
            self._pause(_DECIDING)

    def _dispatch(self, event: Event) -> None:
        _ON[type(event)](self, event)

    def _login(self, event: SaslRequested) -> None:
        self._is_known = True
        self._handler.on_login(self, event)

    def _login_response(self, event: SaslResponseReceived) -> None:
        self._handler.on_login_response(self, event.response)

    def _open(self, event: ConnectionOpened) -> None:
        self._is_known = True
        self._handler.on_open(self, event.open)
        if self._phase is Phase.OPEN:
            self._engine.send_open()
            self._cancel_deadline()
            self._tick()

    def _begun(self, event: SessionBegun) -> None:
        if event.by_peer:
            event.session.send_begin()

    def _attached(self, event: LinkAttached) -> None:
        if event.by_peer:
            self._handler.on_attach(self, event.link)

    def _detached(self, event: LinkDetached) -> None:
        self._handler.on_detach(self, event.link, event.error)

    def _delivery(self, event: DeliveryReceived) -> None:
        self._handler.on_delivery(self, event.link, event.delivery)

    def _flow(self, event: LinkFlow) -> None:
        if not self.is_congested:
            self._handler.on_credit(self, event.link)

    def _updated(self, event: DeliveryUpdated) -> None:
        self._handler.on_update(self, event.link, event.delivery)

    def _closed(self, event: ConnectionClosed) -> None:
        self._clean = True
        self._end("the client closed" if event.error is None else f"the client closed: {event.error.condition}")

    def _nothing(self, _event: Event) -> None:
        """Links tell the handler all that it needs to know of a session; a drained receiver has no credit."""

    def _offer_credit(self) -> None:
        for link in self._engine.links():
            if isinstance(link, Sender) and (link.can_send or link.is_draining):
                self._handler.on_credit(self, link)

    def _decide(self, *, is_accepted: bool) -> None:
        if self._phase is Phase.CLOSED:
            return
        self._engine.send_sasl_outcome(is_accepted=is_accepted)
        if is_accepted:
            self._read_on()
        else:
            self._loop.call_soon(self._end, "the login was refused")

    def _read_on(self) -> None:
        if self._pauses & _DECIDING:
            self._resume(_DECIDING)
            self._loop.call_soon(self._take)

    # Bytes out, pauses, time and the end.

    def _output(self) -> None:
        if not self._batching and not self._scheduled and self._phase is not Phase.CLOSED:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._phase is Phase.CLOSED:
            return
        self._write()
        if self.is_congested and self._transport.get_write_buffer_size() > self._limits.max_unsent:
            self._end("the client does not read what is sent to it", abort=True)
        elif self._engine.should_hang_up:
            self._end("closed")

    def _write(self) -> None:
        data = self._engine.data_to_send(self._loop.time())
        if data:
            self._transport.write(data)

    def _pause(self, cause: int) -> None:
        if not self._pauses and self._phase is not Phase.CLOSED:
            self._transport.pause_reading()
        self._pauses |= cause

    def _resume(self, cause: int) -> None:
        if self._pauses & cause:
            self._pauses &= ~cause
            if not self._pauses and self._phase is not Phase.CLOSED:
                self._transport.resume_reading()

    def _tick(self) -> None:
        """The one timer for both idle time-outs: it looks what is due, instead of being set anew by every read."""
        self._timer = None
        if self._phase is not Phase.OPEN:
            return
        now = self._loop.time()
        again = self._engine.tick(now)
        if again is not None:
            self._timer = self._loop.call_later(max(0.0, again - now), self._tick)
        elif self._engine.should_hang_up:
            self._end("the client was silent for too long")

    def _set_deadline(self, seconds: float, reason: str) -> None:
        self._cancel_deadline()
        self._deadline = self._loop.call_later(seconds, self._end, reason)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, reason: str, *, abort: bool = False) -> None:
        if self._phase is Phase.CLOSED:
            return
        self._cancel_deadline()
        if self._timer is not None:
            self._timer.cancel()
        if abort:
            self._transport.abort()
        else:
            self._write()
            self._transport.close()
        self._phase = Phase.CLOSED
        # Later, because it may well be the handler that called us.
        self._loop.call_soon(self._tell_end, self._engine.lost(), reason)

    def _tell_end(self, events: list[Event], reason: str) -> None:
        for event in events:
            self._dispatch(event)
        if self._is_known:
            self._handler.on_disconnect(self, self._clean, reason)


_ON: dict[type[Any], Callable[[AmqpServerProtocol, Any], None]] = {
    SaslRequested: AmqpServerProtocol._login,
    SaslResponseReceived: AmqpServerProtocol._login_response,
    ConnectionOpened: AmqpServerProtocol._open,
    ConnectionClosed: AmqpServerProtocol._closed,
    SessionBegun: AmqpServerProtocol._begun,
    SessionEnded: AmqpServerProtocol._nothing,
    LinkAttached: AmqpServerProtocol._attached,
    LinkDetached: AmqpServerProtocol._detached,
    LinkFlow: AmqpServerProtocol._flow,
    LinkDrained: AmqpServerProtocol._nothing,
    DeliveryReceived: AmqpServerProtocol._delivery,
    DeliveryUpdated: AmqpServerProtocol._updated,
}
