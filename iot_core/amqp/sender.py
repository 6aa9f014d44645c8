"""The end of a link that sends (OASIS AMQP 1.0 part 2, sections 2.6.7 to 2.6.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from iot_core.amqp import serial
from iot_core.amqp.delivery import Delivery
from iot_core.amqp.errors import INVALID_FIELD, LinkViolation
from iot_core.amqp.events import LinkFlow
from iot_core.amqp.frames import encode_frame
from iot_core.amqp.link import Link
from iot_core.amqp.performatives import (
    MODE_SETTLED,
    MODE_UNSETTLED,
    ROLE_SENDER,
    DeliveryState,
    Flow,
    Transfer,
)
from iot_core.errors import LocalProtocolError

if TYPE_CHECKING:
    from iot_core.amqp.session import Session

__all__ = ["MAX_TAG_BYTES", "Sender"]

MAX_TAG_BYTES = 32
"""Bytes of a delivery tag (section 2.8.7)."""


class Sender(Link):
    """Sends while it `can_send`: the peer gives credit, one for each message."""

    is_sender: ClassVar[bool] = True

    def __init__(self, session: Session, name: str, handle: int) -> None:
        super().__init__(session, name, handle)
        self.credit = 0
        """Messages that the peer still takes."""
        self.is_draining = False
        """Whether the peer wants its credit used up or given back."""
        self._delivery_count = 0

    @property
    def can_send(self) -> bool:
        """Whether `send` may be called now."""
        return self.credit > 0 and self.is_open and not self.session.is_blocked

    def send(
        self, payload: bytes, *, tag: bytes | None = None, settled: bool | None = None, message_format: int = 0
    ) -> Delivery:
        """Send an encoded message, in as many transfers as it takes.

        `settled` follows the link's mode, and is False where that is mixed; `tag` defaults to a count.
        Raises LocalProtocolError when the link cannot send now, or the peer does not take messages of this size.
        """
        if not self.can_send:
            raise LocalProtocolError(f"link {self.name!r} cannot send now: ask can_send first")
        limit = self.attach.max_message_size if self.attach else None
        if limit and len(payload) > limit:
            raise LocalProtocolError(
                f"a message of {len(payload)} bytes is longer than the {limit} that the peer takes"
            )
        is_settled = self._settled(settled)
        tag = self._delivery_count.to_bytes(4, "big") if tag is None else tag
        if not 0 < len(tag) <= MAX_TAG_BYTES:
            raise LocalProtocolError(f"a delivery tag has 1 to {MAX_TAG_BYTES} bytes, not {len(tag)}")
        delivery = Delivery(
            self,
            self.session.take_delivery_id(),
            tag,
            message_format=message_format,
            payload=b"",
            is_settled=is_settled,
        )
        self.credit -= 1
        self._delivery_count = serial.add(self._delivery_count, 1)
        if not is_settled:
            self.unsettled[delivery.id] = self.session.outgoing[delivery.id] = delivery
        self._send_pieces(delivery, payload)
        return delivery

    def settle(self, delivery: Delivery, state: DeliveryState | None = None) -> None:
        """Forget a delivery and tell the peer: the last word where the receiver settles second."""
        if delivery.is_settled or self.is_ended:
            return
        self.forget(delivery)
        session = self.session
        session.connection.settle(
            session.channel, role=ROLE_SENDER, delivery_id=delivery.id, settled=True, state=state or delivery.state
        )

    def send_drained(self) -> None:
        """There is nothing more to send: give the credit back, when the peer drains (section 2.6.10)."""
        if self.is_draining and self.is_open:
            self._delivery_count = serial.add(self._delivery_count, self.credit)
            self.credit = 0
            self._send_flow()
            self.is_draining = False

    def on_flow(self, flow: Flow) -> None:
        if self.endpoint.is_ended:
            return
        if flow.link_credit is not None:
            seen = 0 if flow.delivery_count is None else flow.delivery_count
            self.credit = max(0, flow.link_credit + serial.distance(self._delivery_count, seen))
            self.is_draining = flow.drain
            self.session.connection.emit(LinkFlow(link=self, drain=flow.drain))
        if flow.echo and self.is_open:
            self._send_flow()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        raise LinkViolation(f"a transfer comes on link {self.name!r}, which sends", condition=INVALID_FIELD)

    def _send_pieces(self, delivery: Delivery, payload: bytes) -> None:
        fields: dict[str, Any] = {
            "handle": self.handle,
            "delivery_id": delivery.id,
            "delivery_tag": delivery.tag,
            "message_format": delivery.message_format,
            "settled": delivery.is_settled,
        }
        session = self.session
        room = session.connection.max_outgoing_frame
        frame = encode_frame(Transfer(**fields), channel=session.channel, payload=payload)
        if len(frame) <= room:
            session.send_transfer(self, frame)
            return
        head = len(frame) - len(payload)
        for start in range(0, len(payload), room - head):
            piece = payload[start : start + room - head]
            transfer = Transfer(**fields, more=start + len(piece) < len(payload))
            session.send_transfer(self, encode_frame(transfer, channel=session.channel, payload=piece))

    def _settled(self, wanted: bool | None) -> bool:
        """What the mode says (section 2.8.2)."""
        mode = self.snd_settle_mode
        if (mode == MODE_SETTLED and wanted is False) or (mode == MODE_UNSETTLED and wanted):
            raise LocalProtocolError(f"link {self.name!r} does not send {'settled' if wanted else 'unsettled'}")
        return mode == MODE_SETTLED if wanted is None else wanted

    def _send_flow(self) -> None:
        self.session.send_flow(
            handle=self.handle,
            delivery_count=self._delivery_count,
            link_credit=self.credit,
            available=0,
            drain=self.is_draining,
        )

    def _session_map(self) -> dict[int, Delivery]:
        return self.session.outgoing

    def _attach_fields(self) -> dict[str, Any]:
        return {"initial_delivery_count": self._delivery_count}

    def _refusal(self) -> dict[str, Any]:
        return {"source": None, "target": self.attach.target if self.attach else None}
