"""The arithmetic of throttles, and forecasts made with it."""

from __future__ import annotations

import pytest

from hub_tools.jobs.forecast import fastest, forecast_paths, forecast_quota
from hub_tools.jobs.job import JobSpec, MethodCall
from hub_tools.jobs.throttles import Capacity, duration
from iot_core.errors import InputError

TWIN = JobSpec(where="*", desired={"a": 1}, wait=False)


def seconds(spec: JobSpec, devices: int, tier: str, share: float = 1.0) -> dict[str, float]:
    capacity = Capacity.parse(tier, share=share)
    return {path.name: path.seconds for path in forecast_paths(spec, devices, capacity, page_rows=1000)}


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        ("S1", {"jobs": 8_000, "direct": 1_600, "bulk": 48_000}),
        ("S2", {"jobs": 8_000, "direct": 1_600, "bulk": 48_000}),
        ("S2:10", {"jobs": 8_000, "direct": 1_600, "bulk": 4_800}),
        ("S2:200", {"jobs": 400, "direct": 80, "bulk": 240}),
        ("S3", {"jobs": 1_600, "direct": 320, "bulk": 960}),
    ],
)
def test_eighty_thousand_devices_differ_by_path_and_tier(tier: str, expected: dict[str, float]) -> None:
    assert seconds(TWIN, 80_000, tier) == pytest.approx(expected)


def test_a_budget_takes_its_share_of_every_throttle() -> None:
    assert seconds(TWIN, 1_000, "S2", 0.5)["direct"] == pytest.approx(40)


def test_the_slowest_throttle_decides_and_shows_its_arithmetic() -> None:
    path = forecast_paths(TWIN, 80_000, Capacity.parse("S2:10"))[0]
    assert path.deciding is not None
    assert path.deciding.throttle == "job device operations"
    assert str(path.deciding) == (
        "80,000 job device operations ÷ 10/s (S2: max(10/s, 10 × 1/s)) = 8,000 s = 2 h 13 min"
    )


def test_waiting_for_devices_costs_queries_which_may_decide() -> None:
    spec = JobSpec(where="*", desired={"a": 1})
    direct = forecast_paths(spec, 10_000, Capacity.parse("S3"), connected=10_000, page_rows=1)[1]
    assert direct.deciding is not None
    assert direct.deciding.throttle == "queries"


def test_methods_are_metered_by_four_kilobytes_of_payload() -> None:
    small = JobSpec(where="*", method=MethodCall(name="m"))
    large = JobSpec(where="*", method=MethodCall(name="m", payload="x" * 5000))
    assert seconds(small, 400, "S1")["direct"] == pytest.approx(10)
    assert seconds(large, 400, "S1")["direct"] == pytest.approx(20)


def test_a_message_has_one_path_and_its_own_throttle() -> None:
    assert seconds(JobSpec(where="*", c2d="x"), 100, "S1:2") == {"direct": pytest.approx(30)}


def test_the_fastest_path_is_chosen() -> None:
    assert fastest(forecast_paths(TWIN, 80_000, Capacity.parse("S2"))) == "direct"


def test_the_quota_counts_pages_writes_and_answers() -> None:
    quota = forecast_quota(
        JobSpec(where="*", desired={"a": 1}),
        1_000,
        Capacity.parse("S1"),
        connected=200,
        page_rows=100,
        page_bytes=9_000,
    )
    assert (quota.messages, quota.daily) == (10 * 3 + 1_000 + 200, 400_000)


def test_the_free_tier_counts_half_kilobytes() -> None:
    spec = JobSpec(where="*", c2d="x" * 1000)
    quota = forecast_quota(spec, 10, Capacity.parse("F1"), connected=0, page_rows=100, page_bytes=500)
    assert quota.messages == 1 + 20


@pytest.mark.parametrize("tier", ["S9", "B1", "S2:0", "S2:201", "F1:2", "", "S2:ten"])
def test_a_tier_that_there_is_not_is_refused(tier: str) -> None:
    with pytest.raises(InputError, match="--tier"):
        Capacity.parse(tier)


@pytest.mark.parametrize(
    ("given", "text"), [(0.2, "under 1 s"), (61, "1 min 1 s"), (3_600, "1 h"), (100_000, "1 d 3 h")]
)
def test_durations_are_said_in_two_parts(given: float, text: str) -> None:
    assert duration(given) == text
