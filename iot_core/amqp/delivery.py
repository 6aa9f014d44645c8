"""One message on a link, from its first transfer until it is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iot_core.amqp.messaging import Message, decode_message
from iot_core.amqp.performatives import DeliveryState

if TYPE_CHECKING:
    from iot_core.amqp.link import Link

__all__ = ["Delivery"]


class Delivery:
    """Its place, its bytes, and where it stands. `context` is free for the user."""

    __slots__ = ("context", "id", "is_settled", "link", "message_format", "payload", "peer_settled", "state", "tag")

    def __init__(
        self, link: Link, delivery_id: int, tag: bytes, *, message_format: int, payload: bytes, is_settled: bool
    ) -> None:
        self.link = link
        self.id = delivery_id
        self.tag = tag
        self.message_format = message_format
        self.payload = payload
        """The bytes that arrived; empty for a delivery that we send."""
        self.is_settled = is_settled
        """Whether we have forgotten it, or never had to remember it."""
        self.peer_settled = is_settled
        """Whether the peer has."""
        self.state: DeliveryState | None = None
        """The last state that either side gave it."""
        self.context: Any = None

    def message(self) -> Message:
        """The message that arrived. Raises AmqpViolation: reject it then."""
        return decode_message(self.payload)

    def __repr__(self) -> str:
        return f"Delivery(id={self.id}, tag={self.tag!r}, state={self.state!r}, is_settled={self.is_settled})"
