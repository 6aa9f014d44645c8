from __future__ import annotations

import asyncio

from iot_core.clock import ManualClock
from modules.sentiment.breaker import LONGEST_PAUSE_S, Breaker, State


def breaker(clock: ManualClock, states: list[State] | None = None) -> Breaker:
    seen = [] if states is None else states
    return Breaker(clock, failures=lambda: 3, pause_s=lambda: 5.0, changed=seen.append)


async def admitted(made: Breaker) -> bool:
    """Whether a request may go out without waiting."""
    task = asyncio.create_task(made.admission())
    for _ in range(5):
        await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    return done


def opened(clock: ManualClock, states: list[State] | None = None) -> Breaker:
    made = breaker(clock, states)
    for _ in range(3):
        made.failed()
    return made


async def test_it_opens_after_so_many_failures_in_a_row() -> None:
    made = breaker(ManualClock(0))
    for _ in range(2):
        made.failed()
    made.succeeded()
    for _ in range(2):
        made.failed()
    assert (made.state, await admitted(made)) == (State.CLOSED, True)
    made.failed()
    assert (made.state, await admitted(made)) == (State.OPEN, False)


async def test_after_the_pause_one_request_goes_out_and_its_success_closes() -> None:
    clock, states = ManualClock(0), list[State]()
    made = opened(clock, states)
    clock.advance(5)
    assert await admitted(made)
    assert (made.state, await admitted(made)) == (State.HALF_OPEN, False)
    made.succeeded()
    assert await admitted(made)
    assert states == [State.OPEN, State.HALF_OPEN, State.CLOSED]


async def test_a_failure_when_half_open_opens_for_twice_as_long_up_to_a_minute() -> None:
    clock = ManualClock(0)
    made = opened(clock)
    for pause in (5, 10, 20, 40, LONGEST_PAUSE_S, LONGEST_PAUSE_S):
        clock.advance(pause - 1)
        assert not await admitted(made)
        clock.advance(1)
        assert await admitted(made)
        made.failed()


async def test_what_the_container_asks_for_is_the_least_pause() -> None:
    clock = ManualClock(0)
    made = breaker(clock)
    for _ in range(3):
        made.failed(retry_after_s=100)
    clock.advance(99)
    assert not await admitted(made)
    clock.advance(1)
    assert await admitted(made)


async def test_a_request_that_is_given_up_lets_another_try() -> None:
    clock = ManualClock(0)
    made = opened(clock)
    clock.advance(5)
    assert await admitted(made)
    made.released()
    assert await admitted(made)
