"""An AMQP 1.0 connection without I/O, for either side (OASIS AMQP 1.0 part 2, section 2.4).

    connection = Connection(Settings(container_id="hub"), is_server=True)
    connection.receive_data(data, now)
    while (event := connection.next_event()) is not None:
        ...                               # answers are taken in before the next frame is looked at
    transport.write(connection.data_to_send(now))

Its states are those of `states`, those before open those of `sasl`. When the peer breaks the protocol, `next_event`
raises AmqpViolation; the close that says so is among the data to send by then, after which the connection is to be hung
up. Violations that end only a session or a link are answered without raising. What is sent on something that the peer
has closed, or on a connection that is lost, does nothing: the caller could not know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from iot_core.amqp.composite import read_composite
from iot_core.amqp.dispositions import DispositionBatch
from iot_core.amqp.errors import (
    DECODE_ERROR,
    FRAME_SIZE_TOO_SMALL,
    FRAMING_ERROR,
    ILLEGAL_STATE,
    INVALID_FIELD,
    NOT_ALLOWED,
    RESOURCE_LIMIT_EXCEEDED,
    AmqpViolation,
)
from iot_core.amqp.events import ConnectionClosed, ConnectionOpened, Event, SessionBegun
from iot_core.amqp.frames import (
    AMQP_FRAME,
    EMPTY_FRAME,
    MIN_MAX_FRAME_SIZE,
    Frame,
    Framer,
    encode_frame,
)
from iot_core.amqp.idle import IdleWatch
from iot_core.amqp.link import Link
from iot_core.amqp.performatives import Begin, Close, ErrorCondition, Open, Transfer, condition_of
from iot_core.amqp.sasl import ClientNegotiation, Negotiation, Phase, ServerNegotiation
from iot_core.amqp.session import Session
from iot_core.amqp.settings import Settings
from iot_core.amqp.states import Endpoint, State, Step
from iot_core.errors import LocalProtocolError

__all__ = ["Connection"]

MIN_IDLE_MS = 1000
"""A peer that wants to hear something more often is refused."""


class Connection:
    """One side of a connection. `on_output` is called whenever there may be data to send; it must not send at once."""

    def __init__(self, settings: Settings, *, is_server: bool, on_output: Callable[[], None] | None = None) -> None:
        self.settings = settings
        self.endpoint = Endpoint("connection")
        self.peer: Open | None = None
        """The peer's open, once it is there."""
        self.link_count = 0
        self.incomplete_bytes = 0
        self._on_output = on_output or _ignore
        self._events: deque[Event] = deque()
        self._out: list[bytes] = []
        self._framer = Framer(settings.max_frame_size)
        self._idle = IdleWatch(settings.idle_seconds)
        self._dispositions = DispositionBatch()
        self._sessions: dict[int, Session] = {}
        self._by_remote: dict[int, Session] = {}
        # azure-eventhub detaches links of a session that it has ended: what comes for one of these is dropped.
        self._former_channels: set[int] = set()
        self._has_failed = False
        negotiation = ServerNegotiation if is_server else ClientNegotiation
        self._negotiation: Negotiation = negotiation(settings, self._framer, self._append)

    # Bytes and time.

    def receive_data(self, data: bytes, now: float = 0.0) -> None:
        """Take what has arrived; ask `next_event` until it gives None before more is taken."""
        self._idle.heard(now)
        self._framer.feed(data)

    def next_event(self) -> Event | None:
        """What happens next, or None until more arrives. Raises AmqpViolation, once."""
        try:
            while not self._events and not self._has_failed:
                if not self._advance():
                    return None
        except AmqpViolation as violation:
            self._fail(violation)
            raise
        return self._events.popleft() if self._events else None

    def events(self) -> Iterator[Event]:
        """`next_event` until there is none. Raises AmqpViolation."""
        while (event := self.next_event()) is not None:
            yield event

    def data_to_send(self, now: float = 0.0) -> bytes:
        """Everything to be sent, in order; empty when there is nothing."""
        self._flush_dispositions()
        if not self._out:
            return b""
        self._idle.sent(now)
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    def tick(self, now: float) -> float | None:
        """Do what is due: a heartbeat, or the close of a connection gone silent. Returns when to ask again."""
        if self.should_hang_up:
            return None
        if self._idle.is_silent(now):
            self._fail(AmqpViolation("nothing was heard within the idle time-out", condition=RESOURCE_LIMIT_EXCEEDED))
            return None
        if self._idle.is_heartbeat_due(now) and self.endpoint.is_sendable:
            self._append(EMPTY_FRAME)
            self._idle.sent(now)
        return self._idle.deadline()

    def lost(self) -> list[Event]:
        """The transport is gone: what `next_event` has not given yet, then the end of every session and link."""
        self._has_failed = True
        self.endpoint.state = State.OVER
        self._drop_sessions(None)
        events = list(self._events)
        self._events.clear()
        self._out.clear()
        return events

    @property
    def should_hang_up(self) -> bool:
        """Whether nothing more will come of this connection, once the data to send is sent."""
        return self._has_failed or self._negotiation.phase is Phase.FAILED or self.endpoint.state is State.OVER

    @property
    def is_waiting_for_outcome(self) -> bool:
        """Whether a client waits for `send_sasl_outcome`; nothing needs to be read until then."""
        return self._negotiation.phase is Phase.DECIDING

    @property
    def max_outgoing_frame(self) -> int:
        """Bytes of the longest frame that the peer takes."""
        return MIN_MAX_FRAME_SIZE if self.peer is None else self.peer.max_frame_size

    def links(self) -> list[Link]:
        """The links of all sessions that are not over."""
        return [link for session in self._sessions.values() for link in session.links]

    # For the user: what to send.

    def send_sasl_challenge(self, data: bytes) -> None:
        """Answer SaslRequested or SaslResponseReceived with a question; the client's response comes as an event."""
        self._negotiation.challenge(data)

    def send_sasl_outcome(self, *, is_accepted: bool) -> None:
        """Answer SaslRequested or SaslResponseReceived. Ask `next_event` again: the client may have sent more."""
        self._negotiation.decide(is_accepted)

    def send_open(self) -> None:
        """Open, or answer the peer's open. Raises LocalProtocolError before the login is done, or the second time."""
        if self._has_failed:
            return
        if not self._negotiation.can_send_open:
            raise LocalProtocolError("open has to wait until protocol headers and SASL are done")
        self.endpoint.move(Step.WE_OPEN)
        idle, settings = self.settings.idle_seconds, self.settings
        opening = Open(
            container_id=settings.container_id,
            hostname=settings.hostname,
            max_frame_size=settings.max_frame_size,
            channel_max=settings.channel_max,
            idle_time_out=None if idle is None else int(idle * 1000),
            properties=settings.properties,
        )
        self._write_now(opening)

    def send_close(self, error: ErrorCondition | None = None) -> None:
        """Close, with an open before where it is still due. Before the login is done, just end it."""
        if self._has_failed or self.endpoint.is_ended:
            return
        if not self._negotiation.can_send_open:
            self._has_failed = True
            return
        if not self.endpoint.is_sendable:
            self.send_open()
        self.endpoint.move(Step.WE_CLOSE)
        self._write_now(Close(error=error))

    def begin_session(self) -> Session:
        """A session of ours, begun at once. Raises LocalProtocolError when there is no open or no channel."""
        if not self.endpoint.is_sendable:
            raise LocalProtocolError("a session cannot begin: the connection is not open")
        session = Session(self, self._free_channel(LocalProtocolError), None)
        self._sessions[session.channel] = session
        session.send_begin()
        return session

    # For sessions and links.

    def emit(self, event: Event) -> None:
        """Tell the user."""
        self._events.append(event)

    def write(self, channel: int, performative: Any, payload: bytes = b"") -> None:
        """Send a performative after everything sent before.

        One that does not fit in the peer's frames, but in ours, closes the connection: the peer asked for too little.
        Raises LocalProtocolError when it does not fit in ours either, or the peer has not opened yet.
        """
        frame = encode_frame(performative, channel=channel, payload=payload)
        if len(frame) <= self.max_outgoing_frame:
            self.write_frame(frame)
            return
        text = f"a {type(performative).__name__.lower()} of {len(frame)} bytes does not fit in the peer's frames"
        if self.peer is None or len(frame) > self.settings.max_frame_size:
            raise LocalProtocolError(text)
        self._fail(AmqpViolation(text, condition=FRAME_SIZE_TOO_SMALL))

    def write_frame(self, frame: bytes) -> None:
        """Send a frame after everything sent before; after the close of either side, nothing."""
        if not self._is_mute:
            self._flush_dispositions()
            self._append(frame)

    def settle(self, channel: int, *, role: bool, delivery_id: int, settled: bool, state: Any) -> None:
        """Send a disposition; those that follow each other and say the same leave as one, before any other frame."""
        if self._is_mute:
            return
        finished = self._dispositions.add(channel, role, delivery_id, settled, state)
        if finished is not None:
            self._append(finished)
        self._on_output()

    def forget(self, session: Session) -> None:
        """The session's channels are free again."""
        self._sessions.pop(session.channel, None)
        if session.remote_channel is not None:
            self._by_remote.pop(session.remote_channel, None)
            self._former_channels.add(session.remote_channel)

    # What arrives.

    def _advance(self) -> bool:
        """One step further; False when more bytes or a decision are needed."""
        if not self._negotiation.is_done:
            event = self._negotiation.advance()
            if event is not None:
                self._events.append(event)
                return True
            if not self._negotiation.is_done:
                return False
        frame = self._framer.frame()
        if frame is None:
            return False
        self._on_frame(frame)
        return True

    def _on_frame(self, frame: Frame) -> None:
        if frame.kind != AMQP_FRAME:
            raise AmqpViolation(f"a frame of type {frame.kind} after the login", condition=FRAMING_ERROR)
        if not frame.body:
            return
        performative, end = read_composite(frame.body, 0)
        kind = type(performative)
        if kind is not Transfer and end != len(frame.body):
            raise AmqpViolation(f"bytes follow a {kind.__name__.lower()}", condition=DECODE_ERROR)
        if self.endpoint.is_ended and kind not in (Open, Close):
            return
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, frame.channel, performative)
            return
        session = self._by_remote.get(frame.channel)
        if session is None and frame.channel in self._former_channels:
            return
        if session is None or not session.receive(performative, frame.body[end:]):
            raise AmqpViolation(
                f"a {kind.__name__} comes on channel {frame.channel}, where it has no place", condition=ILLEGAL_STATE
            )

    def _on_open(self, _channel: int, opening: Open) -> None:
        if opening.max_frame_size < MIN_MAX_FRAME_SIZE:
            raise AmqpViolation(f"frames of {opening.max_frame_size} bytes are too small", condition=INVALID_FIELD)
        self.endpoint.move(Step.PEER_OPENS)
        self.peer = opening
        if opening.idle_time_out:
            if opening.idle_time_out < MIN_IDLE_MS:
                raise AmqpViolation(
                    f"an idle time-out of {opening.idle_time_out} ms is shorter than {MIN_IDLE_MS}",
                    condition=NOT_ALLOWED,
                )
            self._idle.peer_wants(opening.idle_time_out / 1000)
        self._events.append(ConnectionOpened(open=opening))

    def _on_close(self, _channel: int, close: Close) -> None:
        self.endpoint.move(Step.PEER_CLOSES)
        self._drop_sessions(close.error)
        if self.endpoint.state is State.WITHDRAWN:
            self.send_open()
        if self.endpoint.state is State.CLOSED_BY_PEER:
            self.endpoint.move(Step.WE_CLOSE)
            self._write_now(Close())
        self._events.append(ConnectionClosed(error=close.error))

    def _on_begin(self, channel: int, begin: Begin) -> None:
        if self.peer is None:
            raise AmqpViolation("a session begins before open", condition=ILLEGAL_STATE)
        if channel > self.settings.channel_max:
            raise AmqpViolation(
                f"channel {channel} is above the {self.settings.channel_max} allowed", condition=FRAMING_ERROR
            )
        if channel in self._by_remote:
            raise AmqpViolation(f"channel {channel} has a session already", condition=ILLEGAL_STATE)
        self._former_channels.discard(channel)
        by_peer = begin.remote_channel is None
        session = self._session_offered(channel) if by_peer else self._session_answered(channel, begin)
        self._by_remote[channel] = session
        session.on_begin(begin)
        self._events.append(SessionBegun(session=session, by_peer=by_peer))

    def _session_offered(self, channel: int) -> Session:
        session = Session(self, self._free_channel(_no_channel), channel)
        self._sessions[session.channel] = session
        return session

    def _session_answered(self, channel: int, begin: Begin) -> Session:
        session = self._sessions.get(begin.remote_channel or 0)
        if session is None or session.remote_channel is not None:
            raise AmqpViolation(
                f"a begin answers channel {begin.remote_channel}, where nothing was begun", condition=ILLEGAL_STATE
            )
        session.remote_channel = channel
        return session

    def _free_channel(self, error: Callable[[str], Exception]) -> int:
        longest = self.settings.channel_max if self.peer is None else self.peer.channel_max
        channel = next(number for number in count() if number not in self._sessions)
        if channel > longest:
            raise error(f"all {longest + 1} channels of the peer are in use")
        return channel

    # The end.

    def _fail(self, violation: AmqpViolation) -> None:
        self._flush_dispositions()
        if self._negotiation.is_done:
            self.send_close(condition_of(violation))
        self._has_failed = True
        self._on_output()

    def _drop_sessions(self, error: ErrorCondition | None) -> None:
        for session in list(self._sessions.values()):
            session.finish(error)

    @property
    def _is_mute(self) -> bool:
        return self._has_failed or self.endpoint.is_ended

    def _write_now(self, performative: Open | Close) -> None:
        """Open and close are sent as the endpoint moves, so not held back by where it is now."""
        self._flush_dispositions()
        self._append(encode_frame(performative))

    def _flush_dispositions(self) -> None:
        finished = self._dispositions.take()
        if finished is not None:
            self._append(finished)

    def _append(self, data: bytes) -> None:
        self._out.append(data)
        self._on_output()


def _ignore() -> None:
    """Nobody wants to know of data to send."""


def _no_channel(text: str) -> AmqpViolation:
    return AmqpViolation(text, condition=NOT_ALLOWED)


_HANDLERS: dict[type[Any], Callable[[Connection, int, Any], None]] = {
    Open: Connection._on_open,
    Close: Connection._on_close,
    Begin: Connection._on_begin,
}
