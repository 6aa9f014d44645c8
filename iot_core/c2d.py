"""The life of a cloud-to-device message, as rules without I/O.

A message is Enqueued, becomes Invisible while a receiver holds its lock, and ends Completed or Dead-lettered. A lock
that runs out, or whose connection goes, puts the message back and does not count; only an abandon counts, and the one
that reaches the maximum delivery count ends the message. How a message ended is told to the sender in a feedback
record when the message's ``iothub-ack`` asked for it. Feedback batches wait in a queue with the same rules.
Source: IoT Hub developer guide, "Send cloud-to-device messages", life cycle and message feedback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

from iot_core.errors import LocalProtocolError, MessageError

__all__ = ["FEEDBACK", "OUTCOMES", "TRANSITIONS", "Ack", "Event", "Outcome", "State", "Step", "parse_ack", "step"]


class State(Enum):
    """Where a message stands; the last two are ends."""

    ENQUEUED = "Enqueued"
    INVISIBLE = "Invisible"
    COMPLETED = "Completed"
    DEAD_LETTERED = "Dead-lettered"


class Event(Enum):
    """What happens to a message."""

    RECEIVE = "a receiver takes its lock"
    RELEASE = "the lock runs out or its connection goes"
    COMPLETE = "the receiver completes it"
    REJECT = "the receiver rejects it"
    ABANDON = "the receiver abandons it"
    EXHAUST = "an abandon reaches the maximum delivery count"
    EXPIRE = "its time to live is over"
    PURGE = "the queue is purged"


class Outcome(StrEnum):
    """How a message ended: ``statusCode`` of a feedback record."""

    SUCCESS = "Success"
    EXPIRED = "Expired"
    DELIVERY_COUNT_EXCEEDED = "DeliveryCountExceeded"
    REJECTED = "Rejected"
    PURGED = "Purged"


class Ack(StrEnum):
    """``iothub-ack``: which ends of a message its sender wants to hear of."""

    NONE = "none"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    FULL = "full"


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.ENQUEUED, Event.RECEIVE): State.INVISIBLE,
        (State.ENQUEUED, Event.EXPIRE): State.DEAD_LETTERED,
        (State.ENQUEUED, Event.PURGE): State.DEAD_LETTERED,
        (State.INVISIBLE, Event.RELEASE): State.ENQUEUED,
        (State.INVISIBLE, Event.ABANDON): State.ENQUEUED,
        (State.INVISIBLE, Event.COMPLETE): State.COMPLETED,
        (State.INVISIBLE, Event.REJECT): State.DEAD_LETTERED,
        (State.INVISIBLE, Event.EXHAUST): State.DEAD_LETTERED,
        (State.INVISIBLE, Event.PURGE): State.DEAD_LETTERED,
    }
)

OUTCOMES: Mapping[Event, Outcome] = MappingProxyType(
    {
        Event.COMPLETE: Outcome.SUCCESS,
        Event.REJECT: Outcome.REJECTED,
        Event.EXHAUST: Outcome.DELIVERY_COUNT_EXCEEDED,
        Event.EXPIRE: Outcome.EXPIRED,
        Event.PURGE: Outcome.PURGED,
    }
)
"""The events that end a message, and what its feedback record says."""

FEEDBACK: Mapping[State, frozenset[Ack]] = MappingProxyType(
    {
        State.COMPLETED: frozenset({Ack.POSITIVE, Ack.FULL}),
        State.DEAD_LETTERED: frozenset({Ack.NEGATIVE, Ack.FULL}),
    }
)
"""For each end, the values of ``iothub-ack`` that ask for a record of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A message after an event; ``outcome`` is None while it lives."""

    state: State
    delivery_count: int
    outcome: Outcome | None = None

    def wants_feedback(self, ack: Ack) -> bool:
        """Whether the sender of a message with this ``iothub-ack`` is told."""
        return self.outcome is not None and ack in FEEDBACK[self.state]


def step(state: State, event: Event, *, delivery_count: int, max_delivery_count: int) -> Step:
    """The message after ``event``; an abandon that reaches ``max_delivery_count`` counts as EXHAUST.

    LocalProtocolError when the event cannot happen in ``state``.
    """
    if event is Event.ABANDON:
        delivery_count += 1
        if delivery_count >= max_delivery_count:
            event = Event.EXHAUST
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise LocalProtocolError(f"a message that is {state.value} cannot change when {event.value}")
    return Step(state=after, delivery_count=delivery_count, outcome=OUTCOMES.get(event))


def parse_ack(text: str | None) -> Ack:
    """``iothub-ack`` in any case; nothing means none. MessageError for another word."""
    try:
        return Ack((text or Ack.NONE).lower())
    except ValueError:
        raise MessageError(f"iothub-ack must be none, positive, negative or full, not {(text or '')[:40]!r}") from None
