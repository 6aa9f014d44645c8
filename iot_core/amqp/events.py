"""What a connection tells its user, in the order in which it happened.

Every session and link that was announced is ended exactly once: by its own event, which comes for the links of a
session before the session's and for the sessions of a connection before the connection's, or by `Connection.lost`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from iot_core.amqp.performatives import Attach, ErrorCondition, Open

if TYPE_CHECKING:
    from iot_core.amqp.delivery import Delivery
    from iot_core.amqp.link import Link
    from iot_core.amqp.receiver import Receiver
    from iot_core.amqp.sender import Sender
    from iot_core.amqp.session import Session

__all__ = [
    "ConnectionClosed",
    "ConnectionOpened",
    "DeliveryReceived",
    "DeliveryUpdated",
    "Event",
    "LinkAttached",
    "LinkDetached",
    "LinkDrained",
    "LinkFlow",
    "SaslOutcomeReceived",
    "SaslRequested",
    "SaslResponseReceived",
    "SessionBegun",
    "SessionEnded",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslRequested:
    """A client logs in: answer with `Connection.send_sasl_outcome`; nothing else happens until then.

    `username` and `password` are those of PLAIN, `response` is what came with any mechanism; the repr hides secrets. A
    mechanism of several steps goes on with `Connection.send_sasl_challenge`.
    """

    mechanism: str
    hostname: str | None
    username: str | None = None
    password: str | None = None
    response: bytes = b""

    def __repr__(self) -> str:
        return f"SaslRequested(mechanism={self.mechanism!r}, hostname={self.hostname!r}, username={self.username!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslResponseReceived:
    """A client has answered a challenge: answer as to `SaslRequested`."""

    response: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class SaslOutcomeReceived:
    """The server has let us in, or not; after a refusal it hangs up."""

    is_accepted: bool
    code: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOpened:
    """The peer has opened. A server answers with `Connection.send_open`."""

    open: Open


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionClosed:
    """The peer has closed; our close is sent already."""

    error: ErrorCondition | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionBegun:
    """The peer has begun a session, to be answered with `Session.send_begin`, or has answered our begin."""

    session: Session
    by_peer: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEnded:
    """The session is over; our end is sent already."""

    session: Session
    error: ErrorCondition | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkAttached:
    """The peer has attached a link, to be answered with `Link.send_attach` or `Link.refuse`, or has answered ours.

    In an answer without a source or target the peer refuses; its detach follows.
    """

    link: Link
    attach: Attach
    by_peer: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkDetached:
    """The link is over; our detach is sent already. `is_closed` is false when the peer may come back to it."""

    link: Link
    error: ErrorCondition | None
    is_closed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkFlow:
    """The peer has changed a sender's credit. With `drain`: send what there is, then call `Sender.send_drained`."""

    link: Sender
    drain: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkDrained:
    """The sender at the other end had nothing more: the receiver's credit is 0."""

    link: Receiver


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReceived:
    """A whole message. Unless it is settled, answer with `Receiver.settle`."""

    link: Receiver
    delivery: Delivery


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryUpdated:
    """The peer has given a delivery a state or has settled it, or both; the delivery holds them."""

    link: Link
    delivery: Delivery


Event: TypeAlias = (
    SaslRequested
    | SaslResponseReceived
    | SaslOutcomeReceived
    | ConnectionOpened
    | ConnectionClosed
    | SessionBegun
    | SessionEnded
    | LinkAttached
    | LinkDetached
    | LinkFlow
    | LinkDrained
    | DeliveryReceived
    | DeliveryUpdated
)
