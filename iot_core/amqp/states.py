"""The life of a connection, a session and a link: three endpoints of one kind (OASIS AMQP 1.0 part 2).

Each side opens its own end and closes its own end, with open and close, begin and end, attach and detach; the other
side answers with the same. So one table serves all three (sections 2.4.6, 2.5.5 and 2.6.4). Rules:

- An end is opened once, before anything else is sent on it, and closed once; after that nothing more is sent.
- Who is asked to open answers, even to refuse: a refusal is an open end that is closed at once with an error.
- Who has closed drops everything until the peer closes too (CLOSING); for a session and a connection that failed, the
  standard calls this DISCARDING.
- One side may close before the other has answered (ABANDONED, WITHDRAWN); the answer is still owed.
- A closed handle, channel or connection is free again only when both sides have closed (OVER).

What a transition that is not in the table means depends on who tried it: for us it is a LocalProtocolError, for the
peer a violation that ends the connection.
"""

from __future__ import annotations

import enum

from iot_core.amqp.errors import ILLEGAL_STATE, AmqpViolation
from iot_core.errors import LocalProtocolError

__all__ = ["TRANSITIONS", "Endpoint", "State", "Step"]


class State(enum.Enum):
    """Where an endpoint stands."""

    NEW = "new"
    """Neither side has opened."""
    OFFERED = "offered"
    """The peer has opened and waits for our answer."""
    OPENING = "opening"
    """We have opened and wait for the peer's answer."""
    OPEN = "open"
    """Both have opened."""
    ABANDONED = "abandoned"
    """We have opened and closed; the peer has not answered yet."""
    WITHDRAWN = "withdrawn"
    """The peer has opened and closed; we have not answered yet, but do so before anything else."""
    CLOSING = "closing"
    """We have closed; the peer has not."""
    CLOSED_BY_PEER = "closed by peer"
    """The peer has closed; we have not."""
    OVER = "over"
    """Both have closed."""


class Step(enum.Enum):
    """What happens to an endpoint."""

    WE_OPEN = "we open"
    PEER_OPENS = "the peer opens"
    WE_CLOSE = "we close"
    PEER_CLOSES = "the peer closes"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.NEW, Step.WE_OPEN): State.OPENING,
    (State.NEW, Step.PEER_OPENS): State.OFFERED,
    (State.OFFERED, Step.WE_OPEN): State.OPEN,
    (State.OFFERED, Step.PEER_CLOSES): State.WITHDRAWN,
    (State.WITHDRAWN, Step.WE_OPEN): State.CLOSED_BY_PEER,
    (State.OPENING, Step.PEER_OPENS): State.OPEN,
    (State.OPENING, Step.WE_CLOSE): State.ABANDONED,
    (State.ABANDONED, Step.PEER_OPENS): State.CLOSING,
    (State.OPEN, Step.WE_CLOSE): State.CLOSING,
    (State.OPEN, Step.PEER_CLOSES): State.CLOSED_BY_PEER,
    (State.CLOSING, Step.PEER_CLOSES): State.OVER,
    (State.CLOSED_BY_PEER, Step.WE_CLOSE): State.OVER,
}
"""The only moves there are."""

_OURS = (Step.WE_OPEN, Step.WE_CLOSE)
_SENDABLE = frozenset({State.OPENING, State.OPEN})
_ENDED = frozenset({State.ABANDONED, State.CLOSING, State.CLOSED_BY_PEER, State.OVER})


class Endpoint:
    """One endpoint's state, which moves by the table only."""

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.NEW

    def move(self, step: Step) -> None:
        """Raises LocalProtocolError or AmqpViolation where the table has no such move."""
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            text = f"{self.name}: {step.value} while it is {self.state.value}"
            raise LocalProtocolError(text) if step in _OURS else AmqpViolation(text, condition=ILLEGAL_STATE)
        self.state = after

    @property
    def is_ended(self) -> bool:
        """Whether either side has closed, or the connection is lost: what is sent now goes nowhere."""
        return self.state in _ENDED

    @property
    def is_sendable(self) -> bool:
        """Whether our end is open and the peer's is not closed."""
        return self.state in _SENDABLE
