"""The end of a link that receives (OASIS AMQP 1.0 part 2, sections 2.6.7 to 2.6.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from iot_core.amqp import serial
from iot_core.amqp.delivery import Delivery
from iot_core.amqp.errors import (
    INVALID_FIELD,
    MESSAGE_SIZE_EXCEEDED,
    NOT_IMPLEMENTED,
    RESOURCE_LIMIT_EXCEEDED,
    TRANSFER_LIMIT_EXCEEDED,
    LinkViolation,
    SessionViolation,
)
from iot_core.amqp.events import DeliveryReceived, LinkDrained
from iot_core.amqp.link import Link
from iot_core.amqp.performatives import ACCEPTED, MODE_SECOND, ROLE_RECEIVER, Attach, DeliveryState, Flow, Transfer
from iot_core.amqp.sender import MAX_TAG_BYTES

if TYPE_CHECKING:
    from iot_core.amqp.session import Session

__all__ = ["Receiver"]


class Receiver(Link):
    """Gives the peer credit, by hand with `send_flow` or all the time with `keep_credit`, and settles what arrives."""

    is_sender: ClassVar[bool] = False

    def __init__(self, session: Session, name: str, handle: int) -> None:
        super().__init__(session, name, handle)
        self.credit = 0
        """Messages that the peer may still send."""
        self._window = 0
        self._is_draining = False
        self._delivery_count = 0
        self._partial: Delivery | None = None
        self._pieces = bytearray()

    def send_flow(self, credit: int, *, drain: bool = False) -> None:
        """Let the peer send so many messages from now on; with `drain`, LinkDrained follows when it has no more."""
        if self.is_ended:
            return
        self.credit = credit
        self._is_draining = drain
        self._send_flow()

    def keep_credit(self, window: int) -> None:
        """Let the peer send for as long as fewer than `window` messages wait to be settled; 0 stops that."""
        self._window = window
        if window:
            self._top_up()
        else:
            self.send_flow(0)

    def settle(self, delivery: Delivery, state: DeliveryState = ACCEPTED) -> None:
        """Give a delivery its outcome; where the receiver settles second, the sender has to settle it then (2.6.12)."""
        if delivery.is_settled or self.is_ended:
            return
        delivery.state = state
        settled = self.rcv_settle_mode != MODE_SECOND
        if settled:
            self.forget(delivery)
        session = self.session
        session.connection.settle(
            session.channel, role=ROLE_RECEIVER, delivery_id=delivery.id, settled=settled, state=state
        )
        self._top_up()

    def forget(self, delivery: Delivery) -> None:
        super().forget(delivery)
        if delivery.peer_settled:
            self._top_up()

    def on_attach(self, attach: Attach) -> None:
        super().on_attach(attach)
        self._delivery_count = attach.initial_delivery_count or 0

    def on_flow(self, flow: Flow) -> None:
        if self.is_ended:
            return
        if flow.delivery_count is not None:
            passed = serial.distance(self._delivery_count, flow.delivery_count)
            if passed > 0:
                self._delivery_count = flow.delivery_count
                self.credit = max(0, self.credit - passed)
        if self._is_draining and self.credit == 0:
            self._is_draining = False
            self.session.connection.emit(LinkDrained(link=self))
        if flow.echo:
            self._send_flow()

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        if self.endpoint.is_ended:
            return
        if transfer.resume:
            raise LinkViolation("deliveries cannot be resumed", condition=NOT_IMPLEMENTED)
        delivery = self._partial or self._start(transfer)
        if transfer.delivery_id not in (None, delivery.id):
            raise LinkViolation("a delivery begins before the last one is complete", condition=INVALID_FIELD)
        if transfer.settled:
            delivery.is_settled = delivery.peer_settled = True
        if transfer.state is not None:
            delivery.state = transfer.state
        self._check_size(len(payload))
        if transfer.aborted:
            self._drop_partial()
            self._top_up()
        elif transfer.more:
            self._partial = delivery
            self._pieces += payload
            self.session.connection.incomplete_bytes += len(payload)
        else:
            self._complete(delivery, payload)

    def _start(self, transfer: Transfer) -> Delivery:
        number, tag = transfer.delivery_id, transfer.delivery_tag
        if number is None or tag is None or len(tag) > MAX_TAG_BYTES:
            raise LinkViolation("a delivery begins without a good id and tag", condition=INVALID_FIELD)
        if self.credit <= 0:
            raise LinkViolation("more messages than there is credit for", condition=TRANSFER_LIMIT_EXCEEDED)
        if number in self.session.incoming:
            raise SessionViolation(f"delivery id {number} is in use", condition=INVALID_FIELD)
        self.credit -= 1
        self._delivery_count = serial.add(self._delivery_count, 1)
        return Delivery(self, number, tag, message_format=transfer.message_format or 0, payload=b"", is_settled=False)

    def _check_size(self, more: int) -> None:
        limits = self.session.connection.settings
        if len(self._pieces) + more > limits.max_message_size:
            raise LinkViolation(
                f"a message is longer than the {limits.max_message_size} bytes allowed", condition=MESSAGE_SIZE_EXCEEDED
            )
        if self.session.connection.incomplete_bytes + more > limits.max_incomplete_bytes:
            raise LinkViolation("too many bytes of incomplete messages", condition=RESOURCE_LIMIT_EXCEEDED)

    def _complete(self, delivery: Delivery, payload: bytes) -> None:
        delivery.payload = bytes(self._pieces) + payload if self._pieces else payload
        self._drop_partial()
        if not delivery.is_settled:
            if delivery.id in self.session.incoming:
                raise SessionViolation(f"delivery id {delivery.id} is in use", condition=INVALID_FIELD)
            self.unsettled[delivery.id] = self.session.incoming[delivery.id] = delivery
        self.session.connection.emit(DeliveryReceived(link=self, delivery=delivery))
        self._top_up()

    def _top_up(self) -> None:
        """Give new credit once half the window is used up."""
        if self._window and not self._is_draining and not self.is_ended:
            waiting = len(self.unsettled)
            if self.credit + waiting <= self._window // 2:
                self.send_flow(self._window - waiting)

    def _drop_partial(self) -> None:
        self.session.connection.incomplete_bytes -= len(self._pieces)
        self._pieces = bytearray()
        self._partial = None

    def _drop(self) -> None:
        super()._drop()
        self._drop_partial()

    def _send_flow(self) -> None:
        self.session.send_flow(
            handle=self.handle,
            delivery_count=self._delivery_count,
            link_credit=self.credit,
            drain=self._is_draining,
        )

    def _session_map(self) -> dict[int, Delivery]:
        return self.session.incoming

    def _attach_fields(self) -> dict[str, Any]:
        return {"max_message_size": self.session.connection.settings.max_message_size}

    def _refusal(self) -> dict[str, Any]:
        return {"source": self.attach.source if self.attach else None, "target": None}
