"""The fourteen packets of MQTT 3.1.1 as values that cannot be built wrong.

A value that the protocol forbids raises LocalProtocolError here; the decoder turns that into RemoteProtocolError.
Section numbers are those of the OASIS standard "MQTT Version 3.1.1".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from iot_core.errors import LocalProtocolError
from iot_core.mqtt.topics import check_filter, check_string, check_topic

__all__ = [
    "BAD_CREDENTIALS",
    "CONNECT_ACCEPTED",
    "IDENTIFIER_REJECTED",
    "NOT_AUTHORIZED",
    "SERVER_UNAVAILABLE",
    "SUBSCRIPTION_FAILED",
    "UNACCEPTABLE_VERSION",
    "ConnAck",
    "Connect",
    "Disconnect",
    "Packet",
    "PingReq",
    "PingResp",
    "PubAck",
    "PubComp",
    "PubRec",
    "PubRel",
    "Publish",
    "SubAck",
    "Subscribe",
    "UnsubAck",
    "Unsubscribe",
    "Will",
]

CONNECT_ACCEPTED = 0
UNACCEPTABLE_VERSION = 1
IDENTIFIER_REJECTED = 2
SERVER_UNAVAILABLE = 3
BAD_CREDENTIALS = 4
NOT_AUTHORIZED = 5
"""CONNACK return codes (section 3.2.2.3)."""
SUBSCRIPTION_FAILED = 0x80
"""SUBACK return code of a refused filter (section 3.9.3)."""

MAX_UINT16 = 65535
"""Packet identifiers, keep-alive and all lengths inside a packet are two bytes (section 1.5.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Will:
    """What the server publishes when the connection ends without DISCONNECT (section 3.1.2.5)."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False

    def __post_init__(self) -> None:
        check_topic(self.topic)
        _check_qos(self.qos)
        _check_length("will payload", self.payload)


@dataclass(frozen=True, kw_only=True, slots=True)
class Connect:
    """CONNECT (section 3.1). `keep_alive` in seconds, 0 switches it off; the password never shows in the repr."""

    client_id: str
    clean_session: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None

    def __post_init__(self) -> None:
        check_string(self.client_id)
        if not self.client_id and not self.clean_session:
            raise LocalProtocolError("an empty client id needs a clean session", answer=IDENTIFIER_REJECTED)
        if not 0 <= self.keep_alive <= MAX_UINT16:
            raise LocalProtocolError(f"keep-alive {self.keep_alive} s is not within 0 to {MAX_UINT16}")
        if self.username is not None:
            check_string(self.username)
        if self.password is not None:
            if self.username is None:
                raise LocalProtocolError("a password needs a user name")
            _check_length("password", self.password)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnAck:
    """CONNACK (section 3.2)."""

    code: int = CONNECT_ACCEPTED
    session_present: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.code <= 255:
            raise LocalProtocolError(f"CONNACK return code {self.code} is not a byte")
        if self.code and self.session_present:
            raise LocalProtocolError("a refused connection has no session present")


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """PUBLISH (section 3.3). `packet_id` is 0 exactly when `qos` is 0."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False

    def __post_init__(self) -> None:
        check_topic(self.topic)
        _check_qos(self.qos)
        if self.qos:
            _check_packet_id(self.packet_id)
        elif self.packet_id or self.dup:
            raise LocalProtocolError("a PUBLISH of QoS 0 has no packet id and is never a duplicate")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Numbered:
    packet_id: int

    def __post_init__(self) -> None:
        _check_packet_id(self.packet_id)


class PubAck(_Numbered):
    """PUBACK: a QoS 1 message is taken over (section 3.4)."""

    __slots__ = ()


class PubRec(_Numbered):
    """PUBREC: first answer of QoS 2 (section 3.5)."""

    __slots__ = ()


class PubRel(_Numbered):
    """PUBREL: second half of QoS 2 (section 3.6)."""

    __slots__ = ()


class PubComp(_Numbered):
    """PUBCOMP: last answer of QoS 2 (section 3.7)."""

    __slots__ = ()


class UnsubAck(_Numbered):
    """UNSUBACK (section 3.11)."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribe:
    """SUBSCRIBE (section 3.8): pairs of topic filter and requested QoS."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        _check_packet_id(self.packet_id)
        if not self.filters:
            raise LocalProtocolError("SUBSCRIBE needs at least one topic filter")
        for topic_filter, qos in self.filters:
            check_filter(topic_filter)
            _check_qos(qos)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubAck:
    """SUBACK (section 3.9): for each filter, in order, the granted QoS or SUBSCRIPTION_FAILED."""

    packet_id: int
    codes: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_packet_id(self.packet_id)
        if not self.codes:
            raise LocalProtocolError("SUBACK needs at least one return code")
        if bad := [code for code in self.codes if code not in (0, 1, 2, SUBSCRIPTION_FAILED)]:
            raise LocalProtocolError(f"{bad[0]} is not a SUBACK return code")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE (section 3.10)."""

    packet_id: int
    filters: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_packet_id(self.packet_id)
        if not self.filters:
            raise LocalProtocolError("UNSUBSCRIBE needs at least one topic filter")
        for topic_filter in self.filters:
            check_filter(topic_filter)


@dataclass(frozen=True, kw_only=True, slots=True)
class PingReq:
    """PINGREQ (section 3.12)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PingResp:
    """PINGRESP (section 3.13)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disconnect:
    """DISCONNECT: the client leaves in good order, its will is void (section 3.14)."""


Packet: TypeAlias = (
    Connect
    | ConnAck
    | Publish
    | PubAck
    | PubRec
    | PubRel
    | PubComp
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
)


def _check_packet_id(packet_id: int) -> None:
    if not 0 < packet_id <= MAX_UINT16:
        raise LocalProtocolError(f"packet id {packet_id} is not within 1 to {MAX_UINT16}")


def _check_qos(qos: int) -> None:
    if qos not in (0, 1, 2):
        raise LocalProtocolError(f"QoS {qos} is not 0, 1 or 2")


def _check_length(what: str, value: bytes) -> None:
    if len(value) > MAX_UINT16:
        raise LocalProtocolError(f"a {what} of {len(value)} bytes is longer than {MAX_UINT16}")
