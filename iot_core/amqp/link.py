"""What both ends of a link have in common: attach, detach and settlement (OASIS AMQP 1.0 part 2, section 2.6).

Its states are those of `states`. Links are not resumed: a link that is attached again starts anew, and what was
unsettled on the old one is forgotten. A delivery that asks to be resumed is refused by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from iot_core.amqp.delivery import Delivery
from iot_core.amqp.events import LinkDetached
from iot_core.amqp.performatives import (
    MODE_FIRST,
    MODE_MIXED,
    Attach,
    Detach,
    ErrorCondition,
    Flow,
    Source,
    Target,
    Transfer,
)
from iot_core.amqp.states import Endpoint, State, Step

if TYPE_CHECKING:
    from iot_core.amqp.session import Session

__all__ = ["Link"]


class Link(ABC):
    """One end of a link. `context` is free for the user; `attach` is what the peer attached with."""

    is_sender: ClassVar[bool]

    def __init__(self, session: Session, name: str, handle: int) -> None:
        self.session = session
        self.name = name
        self.handle = handle
        self.remote_handle: int | None = None
        self.endpoint = Endpoint(f"link {name!r}")
        self.attach: Attach | None = None
        self.snd_settle_mode = MODE_MIXED
        self.rcv_settle_mode = MODE_FIRST
        self.unsettled: dict[int, Delivery] = {}
        """Deliveries that neither side has settled for good, by id."""
        self.context: Any = None

    @property
    def key(self) -> tuple[str, bool]:
        """What makes it one link of its session: its name and its direction, as the peer's attach says them."""
        return self.name, self.is_sender

    @property
    def is_open(self) -> bool:
        """Whether both sides have attached and neither has detached, nor ended the session or the connection."""
        ends = (self.endpoint, self.session.endpoint, self.session.connection.endpoint)
        return all(end.state is State.OPEN for end in ends)

    @property
    def is_ended(self) -> bool:
        """Whether one side has detached or ended the session, or the connection is lost."""
        return self.endpoint.is_ended or self.session.endpoint.is_ended

    def send_attach(
        self,
        *,
        source: Source | None = None,
        target: Target | None = None,
        snd_settle_mode: int | None = None,
        rcv_settle_mode: int | None = None,
        properties: dict[str, Any] | None = None,
        offered_capabilities: tuple[str, ...] | None = None,
        desired_capabilities: tuple[str, ...] | None = None,
    ) -> None:
        """Attach, or answer the peer's attach; then what is not given is as the peer has it.

        Only a receiver settles first unless told otherwise: uamqp asks for second, but waits for a settled outcome.
        """
        theirs = self.attach
        if theirs is not None:
            source, target = source or theirs.source, target or theirs.target
            snd_settle_mode = theirs.snd_settle_mode if snd_settle_mode is None else snd_settle_mode
            if rcv_settle_mode is None and self.is_sender:
                rcv_settle_mode = theirs.rcv_settle_mode
        self.snd_settle_mode = MODE_MIXED if snd_settle_mode is None else snd_settle_mode
        self.rcv_settle_mode = MODE_FIRST if rcv_settle_mode is None else rcv_settle_mode
        self._write_attach(
            source=source,
            target=target,
            properties=properties,
            offered_capabilities=offered_capabilities,
            desired_capabilities=desired_capabilities,
        )

    def refuse(self, error: ErrorCondition) -> None:
        """Answer the peer's attach with no: an attach without the terminus asked for, then the error (2.6.3)."""
        if self.is_ended:
            return
        if self.endpoint.state is State.OFFERED:
            self._write_refusal()
        self.send_detach(error)

    def send_detach(self, error: ErrorCondition | None = None, *, closed: bool = True) -> None:
        """Detach; with `closed` for good."""
        if self.is_ended:
            return
        if self.endpoint.state is State.OFFERED:
            self._write_refusal()
        self.endpoint.move(Step.WE_CLOSE)
        self._drop()
        self.session.drop_queued(self)
        self._write(Detach(handle=self.handle, closed=closed, error=error))

    # For the session.

    def on_attach(self, attach: Attach) -> None:
        """The peer has attached, or has answered."""
        self.endpoint.move(Step.PEER_OPENS)
        self.attach = attach
        self.remote_handle = attach.handle
        if self.endpoint.state is State.OPEN:
            # The peer may grant less than we asked for.
            self.snd_settle_mode, self.rcv_settle_mode = attach.snd_settle_mode, attach.rcv_settle_mode

    def on_detach(self, detach: Detach) -> None:
        """The peer has detached: answer, unless we were first."""
        self.endpoint.move(Step.PEER_CLOSES)
        if self.endpoint.state is State.WITHDRAWN:
            self._write_refusal()
        if self.endpoint.state is State.CLOSED_BY_PEER:
            self.endpoint.move(Step.WE_CLOSE)
            self._write(Detach(handle=self.handle, closed=detach.closed))
        self.finish(detach.error, is_closed=detach.closed)

    def finish(self, error: ErrorCondition | None, *, is_closed: bool) -> None:
        """The link is over."""
        self.endpoint.state = State.OVER
        self._drop()
        self.session.forget(self)
        self.session.connection.emit(LinkDetached(link=self, error=error, is_closed=is_closed))

    def forget(self, delivery: Delivery) -> None:
        """A delivery is settled."""
        delivery.is_settled = True
        self.unsettled.pop(delivery.id, None)
        self._session_map().pop(delivery.id, None)

    @abstractmethod
    def on_flow(self, flow: Flow) -> None:
        """The peer tells of its credit or its deliveries."""

    @abstractmethod
    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A transfer has come. Raises LinkViolation or SessionViolation."""

    # For both kinds.

    @abstractmethod
    def _session_map(self) -> dict[int, Delivery]:
        """The session's unsettled deliveries of this direction."""

    @abstractmethod
    def _attach_fields(self) -> dict[str, Any]:
        """Fields of attach that depend on the direction."""

    @abstractmethod
    def _refusal(self) -> dict[str, Any]:
        """Source and target of an attach that refuses."""

    def _write_attach(self, **fields: Any) -> None:
        if self.is_ended:
            return
        attach = Attach(
            name=self.name,
            handle=self.handle,
            role=not self.is_sender,
            snd_settle_mode=self.snd_settle_mode,
            rcv_settle_mode=self.rcv_settle_mode,
            **self._attach_fields(),
            **fields,
        )
        self.endpoint.move(Step.WE_OPEN)
        self._write(attach)

    def _write_refusal(self) -> None:
        self._write_attach(**self._refusal())

    def _write(self, performative: Any) -> None:
        self.session.connection.write(self.session.channel, performative)

    def _drop(self) -> None:
        """Forget everything unsettled."""
        for number, delivery in self.unsettled.items():
            delivery.is_settled = True
            self._session_map().pop(number, None)
        self.unsettled.clear()
