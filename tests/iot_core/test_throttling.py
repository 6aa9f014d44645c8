from __future__ import annotations

import pytest

from iot_core.limits import TIERS, Rate
from iot_core.throttling import BACKLOG_S, Bucket, metered

TEN_A_SECOND = Rate(per_unit=10, window_s=1)
TWENTY_A_MINUTE = TIERS["S1"].queries


def drained(rate: Rate, units: int = 1) -> Bucket:
    """A bucket whose minute's worth is used up."""
    bucket = Bucket(rate, units, now=0.0)
    assert bucket.reserve(0.0, rate.allowance(units) * 60 / rate.window_s) == 0
    return bucket


def test_a_minutes_worth_passes_at_once() -> None:
    bucket = Bucket(TWENTY_A_MINUTE, 2, now=0.0)
    assert [bucket.reserve(0.0) for _ in range(40)] == [0.0] * 40


def test_what_is_over_the_rate_is_slowed_to_it() -> None:
    bucket = drained(TEN_A_SECOND)
    assert [bucket.reserve(0.0) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])


def test_what_would_wait_too_long_is_refused_and_costs_nothing() -> None:
    bucket = drained(TEN_A_SECOND)
    waits = [bucket.reserve(0.0) for _ in range(101)]
    assert waits[99] == pytest.approx(BACKLOG_S)
    assert waits[100] is None
    assert bucket.reserve(0.1) == pytest.approx(BACKLOG_S)


def test_time_gives_the_allowance_back_up_to_a_minutes_worth() -> None:
    bucket = drained(TEN_A_SECOND)
    assert bucket.reserve(3600.0, 600) == 0
    assert bucket.reserve(3600.0) == pytest.approx(0.1)


def test_a_full_bucket_lets_even_more_than_it_holds_pass_late() -> None:
    assert Bucket(TEN_A_SECOND, 1, now=0.0).reserve(0.0, 900) == pytest.approx(30)


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (9000, 3)])
def test_payloads_are_counted_in_whole_meters(size: int, units: int) -> None:
    assert metered(size, 4096) == units
