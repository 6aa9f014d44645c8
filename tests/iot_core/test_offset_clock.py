from __future__ import annotations

import pytest

from iot_core.clock import ManualClock, OffsetClock, SystemClock
from iot_core.errors import InputError


@pytest.fixture
def base() -> ManualClock:
    return ManualClock(1000.0)


def test_it_runs_with_the_other_clock(base: ManualClock) -> None:
    clock = OffsetClock(base)
    clock.advance(3600)
    base.advance(5)
    assert (clock.now(), clock.monotonic(), clock.offset) == (4605.0, 3605.0, 3600.0)


def test_reset_tells_the_other_clocks_time_but_never_takes_monotonic_back(base: ManualClock) -> None:
    clock = OffsetClock(base)
    clock.advance(60)
    clock.reset()
    assert (clock.now(), clock.monotonic(), clock.offset) == (1000.0, 60.0, 0.0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_it_goes_forwards_only(base: ManualClock, seconds: float) -> None:
    with pytest.raises(InputError, match="only forwards"):
        OffsetClock(base).advance(seconds)


@pytest.mark.parametrize("move", [lambda clock: clock.advance(1), lambda clock: clock.reset()])
def test_those_who_watch_hear_of_each_move_until_they_stop(base: ManualClock, move: object) -> None:
    assert callable(move)
    clock, moves = OffsetClock(base), list[str]()
    forget = clock.watch(lambda: moves.append("first"))
    clock.watch(lambda: moves.append("second"))
    move(clock)
    forget()
    forget()
    move(clock)
    assert moves == ["first", "second", "second"]


def test_a_manual_clock_tells_of_moves_and_the_machines_has_none() -> None:
    manual, moves = ManualClock(), list[float]()
    manual.watch(lambda: moves.append(manual.now()))
    manual.advance(2)
    SystemClock().watch(lambda: moves.append(0.0))()
    assert moves == [2.0]
