"""What one side of a connection offers, and what it lets its peer take up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iot_core.amqp.frames import MIN_MAX_FRAME_SIZE
from iot_core.errors import LocalProtocolError

__all__ = ["ClientSasl", "Settings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientSasl:
    """How a client logs in; the response never shows in the repr. `plain` makes the one with user and password."""

    mechanism: str = "ANONYMOUS"
    response: bytes | None = field(default=None, repr=False)
    hostname: str | None = None

    @classmethod
    def plain(cls, username: str, password: str, hostname: str | None = None) -> ClientSasl:
        """User and password (RFC 4616)."""
        return cls(mechanism="PLAIN", response=f"\0{username}\0{password}".encode(), hostname=hostname)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """One side's offer. Everything that a peer can make grow is bounded by one of these."""

    container_id: str
    hostname: str | None = None
    max_frame_size: int = 65536
    """Bytes of the longest frame that we take, as Azure's services have it."""
    channel_max: int = 1023
    """Highest channel, so one less than the number of sessions."""
    handle_max: int = 255
    """Highest handle of a session, so one less than the number of its links."""
    max_links: int = 4096
    """Links of all sessions of the connection."""
    incoming_window: int = 2048
    """Transfers that a session takes before it has to tell the peer to go on."""
    max_message_size: int = 1024 * 1024
    """Bytes of one message: the largest that Event Hubs takes."""
    max_incomplete_bytes: int = 8 * 1024 * 1024
    """Bytes of messages that have arrived in part, on all links."""
    max_unsettled: int = 10_000
    """Deliveries that a session has sent and the peer has not settled; with more, `Sender.can_send` is false."""
    idle_seconds: float | None = 240.0
    """The peer has to send at least this often, as Azure's services have it; after twice as long it is given up."""
    sasl_mechanisms: tuple[str, ...] = ("MSSBCBS", "ANONYMOUS", "PLAIN", "EXTERNAL")
    """What a server offers."""
    sasl_required: bool = False
    """Whether a server refuses a client that opens without SASL."""
    client_sasl: ClientSasl | None = None
    """How a client logs in; None opens without SASL."""
    properties: dict[str, Any] | None = None
    """Properties of our open."""

    def __post_init__(self) -> None:
        if self.max_frame_size < MIN_MAX_FRAME_SIZE:
            raise LocalProtocolError(
                f"frames of {self.max_frame_size} bytes are less than the {MIN_MAX_FRAME_SIZE} due"
            )
