"""A session: its windows, its links and the states of its deliveries (OASIS AMQP 1.0 part 2, section 2.5 and 2.6.12).

Its states are those of `states`. Windows count transfers, that is frames: what the peer's window does not take yet
waits in a queue, and no link of the session `can_send` meanwhile, so that the queue holds one message at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING, Any

from iot_core.amqp import serial
from iot_core.amqp.delivery import Delivery
from iot_core.amqp.errors import (
    FRAMING_ERROR,
    HANDLE_IN_USE,
    INVALID_FIELD,
    RESOURCE_LIMIT_EXCEEDED,
    STOLEN,
    UNATTACHED_HANDLE,
    WINDOW_VIOLATION,
    AmqpViolation,
    LinkViolation,
    SessionViolation,
)
from iot_core.amqp.events import DeliveryUpdated, LinkAttached, LinkFlow, SessionEnded
from iot_core.amqp.link import Link
from iot_core.amqp.performatives import (
    ROLE_RECEIVER,
    Attach,
    Begin,
    Detach,
    Disposition,
    End,
    ErrorCondition,
    Flow,
    Transfer,
    condition_of,
    error_condition,
)
from iot_core.amqp.receiver import Receiver
from iot_core.amqp.sender import Sender
from iot_core.amqp.states import Endpoint, State, Step
from iot_core.errors import LocalProtocolError

if TYPE_CHECKING:
    from iot_core.amqp.connection import Connection

__all__ = ["Session"]


class Session:
    """One end of a session. `context` is free for the user."""

    def __init__(self, connection: Connection, channel: int, remote_channel: int | None) -> None:
        self.connection = connection
        self.channel = channel
        self.remote_channel = remote_channel
        self.endpoint = Endpoint(f"session on channel {channel}")
        self.peer: Begin | None = None
        self.context: Any = None
        self.outgoing: dict[int, Delivery] = {}
        """Deliveries that we sent and nobody settled, by id."""
        self.incoming: dict[int, Delivery] = {}
        """Deliveries that arrived and nobody settled, by id."""
        self._next_delivery_id = 0
        self._next_outgoing_id = 0
        self._next_incoming_id: int | None = None
        self._incoming_window = connection.settings.incoming_window
        self._remote_window = 0
        self._queue: deque[tuple[Link, bytes]] = deque()
        self._links: dict[int, Link] = {}
        self._by_remote: dict[int, Link] = {}
        self._by_name: dict[tuple[str, bool], Link] = {}

    # For the user.

    def send_begin(self) -> None:
        """Answer the peer's begin. (`Connection.begin_session` begins one of ours.)"""
        if self.endpoint.is_ended:
            return
        self.endpoint.move(Step.WE_OPEN)
        begin = Begin(
            remote_channel=self.remote_channel,
            next_outgoing_id=self._next_outgoing_id,
            incoming_window=self._incoming_window,
            outgoing_window=self.connection.settings.incoming_window,
            handle_max=self.connection.settings.handle_max,
        )
        self.connection.write(self.channel, begin)

    def send_end(self, error: ErrorCondition | None = None) -> None:
        """End the session and with it its links."""
        if self.endpoint.is_ended:
            return
        if self.endpoint.state is State.OFFERED:
            self.send_begin()
        self.endpoint.move(Step.WE_CLOSE)
        self._queue.clear()
        self.connection.write(self.channel, End(error=error))

    def attach_sender(self, name: str, **attach: Any) -> Sender:
        """A link of ours that sends, attached at once; `attach` is as for `Link.send_attach`."""
        link = Sender(self, name, self._handle_for_ours(name, is_sender=True))
        self._attach_ours(link, attach)
        return link

    def attach_receiver(self, name: str, **attach: Any) -> Receiver:
        """A link of ours that receives, attached at once; `attach` as for `Link.send_attach`. Give it credit then."""
        link = Receiver(self, name, self._handle_for_ours(name, is_sender=False))
        self._attach_ours(link, attach)
        return link

    @property
    def links(self) -> Iterable[Link]:
        """All links that are not over."""
        return list(self._links.values())

    # For the connection.

    def on_begin(self, begin: Begin) -> None:
        """The peer has begun, or has answered."""
        self.endpoint.move(Step.PEER_OPENS)
        self.peer = begin
        self._next_incoming_id = begin.next_outgoing_id
        self._remote_window = begin.incoming_window
        self._send_queued()

    def receive(self, performative: Any, payload: bytes) -> bool:
        """Take a performative of this channel; False for one that is not a session's. Raises AmqpViolation."""
        handler = _HANDLERS.get(type(performative))
        if handler is None:
            return False
        if self.endpoint.is_ended and handler is not Session._on_end:
            return True
        try:
            handler(self, performative, payload)
        except SessionViolation as violation:
            self.send_end(condition_of(violation))
        return True

    def finish(self, error: ErrorCondition | None) -> None:
        """The session is over, and so are its links."""
        self.endpoint.state = State.OVER
        self._queue.clear()
        for link in list(self._links.values()):
            link.finish(error, is_closed=True)
        self.connection.forget(self)
        self.connection.emit(SessionEnded(session=self, error=error))

    # For links.

    @property
    def is_blocked(self) -> bool:
        """Whether transfers wait, or too many deliveries are unsettled."""
        return bool(self._queue) or len(self.outgoing) >= self.connection.settings.max_unsettled

    def send_flow(self, **link: Any) -> None:
        """Tell the windows, and of a link what the arguments say (fields of Flow)."""
        flow = Flow(
            next_incoming_id=self._next_incoming_id,
            incoming_window=self._incoming_window,
            next_outgoing_id=self._next_outgoing_id,
            outgoing_window=self.connection.settings.incoming_window,
            **link,
        )
        self.connection.write(self.channel, flow)

    def take_delivery_id(self) -> int:
        """The id of the next delivery that we send."""
        number = self._next_delivery_id
        self._next_delivery_id = serial.add(number, 1)
        return number

    def send_transfer(self, link: Link, frame: bytes) -> None:
        """Send a transfer, or queue it until the peer's window takes it."""
        self._queue.append((link, frame))
        if len(self._queue) == 1:
            self._send_queued()

    def forget(self, link: Link) -> None:
        """The link's handles are free again, and what it had queued is dropped."""
        if self._links.pop(link.handle, None) is None:
            return
        self.drop_queued(link)
        self.connection.link_count -= 1
        if link.remote_handle is not None:
            self._by_remote.pop(link.remote_handle, None)
        if self._by_name.get(link.key) is link:
            del self._by_name[link.key]

    def drop_queued(self, link: Link) -> None:
        """Transfers of a link that is closed are not sent any more."""
        if self._queue:
            self._queue = deque(entry for entry in self._queue if entry[0] is not link)

    # Links.

    def _on_attach(self, attach: Attach, _payload: bytes) -> None:
        if attach.handle > self.connection.settings.handle_max:
            raise AmqpViolation(f"handle {attach.handle} is above the highest allowed", condition=FRAMING_ERROR)
        if attach.handle in self._by_remote:
            raise SessionViolation(f"handle {attach.handle} has a link already", condition=HANDLE_IN_USE)
        link = self._by_name.get((attach.name, attach.role))
        by_peer = link is None or link.remote_handle is not None
        if link is None or by_peer:
            if link is not None:
                link.send_detach(error_condition(STOLEN, "a link of the same name was attached"))
            link = self._link_offered(attach)
        self._by_remote[attach.handle] = link
        link.on_attach(attach)
        self.connection.emit(LinkAttached(link=link, attach=attach, by_peer=by_peer))

    def _link_offered(self, attach: Attach) -> Link:
        kind = Sender if attach.role == ROLE_RECEIVER else Receiver
        link = kind(self, attach.name, self._free_handle(_too_many_links))
        self._add(link)
        return link

    def _attach_ours(self, link: Link, attach: dict[str, Any]) -> None:
        self._add(link)
        try:
            link.send_attach(**attach)
        except BaseException:
            self.forget(link)
            raise

    def _handle_for_ours(self, name: str, *, is_sender: bool) -> int:
        if not self.endpoint.is_sendable:
            raise LocalProtocolError("a link cannot be attached: the session is not open")
        if (name, is_sender) in self._by_name:
            raise LocalProtocolError(f"the session has a link {name!r} already")
        return self._free_handle(LocalProtocolError)

    def _free_handle(self, error: Callable[[str], Exception]) -> int:
        highest = self.connection.settings.handle_max if self.peer is None else self.peer.handle_max
        handle = next(number for number in count() if number not in self._links)
        if handle > highest or self.connection.link_count >= self.connection.settings.max_links:
            raise error("there are as many links as are allowed")
        return handle

    def _add(self, link: Link) -> None:
        self._links[link.handle] = link
        self._by_name[link.key] = link
        self.connection.link_count += 1

    def _link(self, handle: int) -> Link:
        link = self._by_remote.get(handle)
        if link is None:
            raise SessionViolation(f"no link has the handle {handle}", condition=UNATTACHED_HANDLE)
        return link

    def _on_detach(self, detach: Detach, _payload: bytes) -> None:
        self._link(detach.handle).on_detach(detach)

    # Windows and transfers.

    def _on_flow(self, flow: Flow, _payload: bytes) -> None:
        was_blocked = self.is_blocked
        seen = 0 if flow.next_incoming_id is None else flow.next_incoming_id
        in_flight = max(0, serial.distance(seen, self._next_outgoing_id))
        self._remote_window = max(0, flow.incoming_window - in_flight)
        self._next_incoming_id = flow.next_outgoing_id
        self._send_queued()
        if was_blocked:
            self._tell_unblocked()
        if flow.handle is not None:
            self._link(flow.handle).on_flow(flow)
        elif flow.echo:
            self.send_flow()

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        if self._incoming_window == 0:
            raise SessionViolation("more transfers than the window takes", condition=WINDOW_VIOLATION)
        self._incoming_window -= 1
        self._next_incoming_id = serial.add(self._next_incoming_id or 0, 1)
        link = self._link(transfer.handle)
        try:
            link.on_transfer(transfer, payload)
        except LinkViolation as violation:
            link.send_detach(condition_of(violation))
        full = self.connection.settings.incoming_window
        if self._incoming_window <= full // 2 and self.endpoint.is_sendable:
            self._incoming_window = full
            self.send_flow()

    def _send_queued(self) -> None:
        while self._queue and self._remote_window:
            _, frame = self._queue.popleft()
            self._remote_window -= 1
            self._next_outgoing_id = serial.add(self._next_outgoing_id, 1)
            self.connection.write_frame(frame)

    def _tell_unblocked(self) -> None:
        """Links that had credit can send again."""
        for link in self._links.values():
            if isinstance(link, Sender) and link.can_send:
                self.connection.emit(LinkFlow(link=link, drain=link.is_draining))

    # Settlement.

    def _on_disposition(self, disposition: Disposition, _payload: bytes) -> None:
        was_blocked = self.is_blocked
        deliveries = self.outgoing if disposition.role == ROLE_RECEIVER else self.incoming
        last = disposition.first if disposition.last is None else disposition.last
        for delivery in _between(deliveries, disposition.first, last):
            if disposition.state is not None:
                delivery.state = disposition.state
            if disposition.settled:
                delivery.peer_settled = True
                delivery.link.forget(delivery)
            self.connection.emit(DeliveryUpdated(link=delivery.link, delivery=delivery))
        if was_blocked:
            self._tell_unblocked()

    def _on_end(self, end: End, _payload: bytes) -> None:
        self.endpoint.move(Step.PEER_CLOSES)
        if self.endpoint.state is State.WITHDRAWN:
            self.send_begin()
        if self.endpoint.state is State.CLOSED_BY_PEER:
            self.endpoint.move(Step.WE_CLOSE)
            self.connection.write(self.channel, End())
        self.finish(end.error)


def _between(deliveries: dict[int, Delivery], first: int, last: int) -> list[Delivery]:
    """Those in a range of ids, however long the range is."""
    length = serial.distance(first, last) + 1
    if length < 1:
        raise SessionViolation(f"a disposition goes from {first} to {last}", condition=INVALID_FIELD)
    if length > len(deliveries):
        return [item for number, item in deliveries.items() if 0 <= serial.distance(first, number) < length]
    found = (deliveries.get(serial.add(first, offset)) for offset in range(length))
    return [delivery for delivery in found if delivery is not None]


def _too_many_links(text: str) -> SessionViolation:
    return SessionViolation(text, condition=RESOURCE_LIMIT_EXCEEDED)


_HANDLERS: dict[type[Any], Callable[[Session, Any, bytes], None]] = {
    Transfer: Session._on_transfer,
    Disposition: Session._on_disposition,
    Flow: Session._on_flow,
    Attach: Session._on_attach,
    Detach: Session._on_detach,
    End: Session._on_end,
}
