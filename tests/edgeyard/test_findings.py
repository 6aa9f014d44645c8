"""When the demo counts a change of rate as the job's effect, and when as chance."""

from __future__ import annotations

import pytest

from edgeyard.demo.findings import JobEffect


def effect(**rates: float) -> JobEffect:
    usual = {"changed_before": 5.0, "changed_after": 12.5, "other_before": 5.0, "other_after": 5.0}
    return JobEffect(**{**usual, **rates}, expected_factor=2.5)


def verdicts(**rates: float) -> tuple[bool, bool]:
    changed, other = effect(**rates).findings("B1", "B2")
    return changed.ok, other.ok


def test_one_building_follows_the_job_and_the_other_stays() -> None:
    assert verdicts() == (True, True)


@pytest.mark.parametrize("after", [0.0, 5.0, 8.0, 20.0])
def test_a_building_that_did_not_follow_the_job_is_found(after: float) -> None:
    assert verdicts(changed_after=after) == (False, True)


@pytest.mark.parametrize("after", [0.0, 2.0, 12.5])
def test_another_building_that_changed_is_found(after: float) -> None:
    assert verdicts(other_after=after) == (True, False)


def test_silence_before_the_job_is_a_failure_not_a_division_by_zero() -> None:
    assert verdicts(changed_before=0.0, other_before=0.0) == (False, False)
