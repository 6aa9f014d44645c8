from __future__ import annotations

import pytest

from iot_core.c2d import OUTCOMES, TRANSITIONS, Ack, Event, Outcome, State, parse_ack, step
from iot_core.errors import LocalProtocolError, MessageError

ENDS = {State.COMPLETED, State.DEAD_LETTERED}


def after(state: State, event: Event, delivery_count: int = 0) -> tuple[State, int, Outcome | None]:
    result = step(state, event, delivery_count=delivery_count, max_delivery_count=3)
    return result.state, result.delivery_count, result.outcome


def test_exactly_the_events_that_end_a_message_have_an_outcome() -> None:
    assert all((state in ENDS) == (event in OUTCOMES) for (_, event), state in TRANSITIONS.items())


@pytest.mark.parametrize("state", sorted(ENDS, key=str))
@pytest.mark.parametrize("event", list(Event))
def test_nothing_happens_to_a_message_that_has_ended(state: State, event: Event) -> None:
    with pytest.raises(LocalProtocolError, match=state.value):
        after(state, event)


def test_a_lock_that_is_let_go_does_not_count() -> None:
    assert after(State.INVISIBLE, Event.RELEASE, 2) == (State.ENQUEUED, 2, None)


def test_an_abandon_counts() -> None:
    assert after(State.INVISIBLE, Event.ABANDON, 1) == (State.ENQUEUED, 2, None)


def test_the_abandon_that_reaches_the_maximum_ends_the_message() -> None:
    expected = (State.DEAD_LETTERED, 3, Outcome.DELIVERY_COUNT_EXCEEDED)
    assert after(State.INVISIBLE, Event.ABANDON, 2) == expected


def test_a_message_that_is_locked_does_not_expire() -> None:
    with pytest.raises(LocalProtocolError, match="Invisible"):
        after(State.INVISIBLE, Event.EXPIRE)


@pytest.mark.parametrize(
    ("ack", "wanted"),
    [
        (Ack.NONE, set()),
        (Ack.POSITIVE, {Outcome.SUCCESS}),
        (Ack.NEGATIVE, set(Outcome) - {Outcome.SUCCESS}),
        (Ack.FULL, set(Outcome)),
    ],
)
def test_feedback_is_given_as_the_sender_asked(ack: Ack, wanted: set[Outcome]) -> None:
    ends = [
        step(state, event, delivery_count=0, max_delivery_count=10)
        for (state, event), end in TRANSITIONS.items()
        if end in ENDS
    ]
    assert {end.outcome for end in ends if end.wants_feedback(ack)} == wanted


@pytest.mark.parametrize(("text", "ack"), [(None, Ack.NONE), ("", Ack.NONE), ("Full", Ack.FULL), ("none", Ack.NONE)])
def test_ack_is_read_in_any_case(text: str | None, ack: Ack) -> None:
    assert parse_ack(text) is ack


def test_another_ack_is_refused() -> None:
    with pytest.raises(MessageError, match="'maybe'"):
        parse_ack("maybe")
