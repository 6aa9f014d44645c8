from __future__ import annotations

import pytest

from iot_core import limits
from iot_core.limits import TIERS


@pytest.mark.parametrize(
    ("tier", "units", "per_second"), [("S1", 1, 100), ("S1", 10, 120), ("S2", 2, 240), ("S3", 1, 6000)]
)
def test_what_devices_may_send_grows_with_tier_and_units(tier: str, units: int, per_second: int) -> None:
    rate = TIERS[tier].device_to_cloud
    assert (rate.allowance(units), rate.window_s) == (per_second, 1)


@pytest.mark.parametrize(("tier", "per_minute"), [("F1", 200), ("S1", 200), ("S2", 200), ("S3", 10_000)])
def test_registry_operations_are_counted_by_the_minute(tier: str, per_minute: int) -> None:
    rate = TIERS[tier].registry
    assert (rate.allowance(2), rate.window_s) == (per_minute, 60)


@pytest.mark.parametrize(("tier", "jobs"), [("F1", 1), ("S1", 1), ("S2", 5), ("S3", 10)])
def test_jobs_at_a_time(tier: str, jobs: int) -> None:
    assert TIERS[tier].concurrent_jobs == jobs


def test_sizes_are_those_of_the_documentation() -> None:
    assert (limits.DEVICE_TO_CLOUD_BYTES, limits.CLOUD_TO_DEVICE_BYTES) == (262_144, 65_536)
    assert (limits.TAGS_BYTES, limits.DESIRED_BYTES, limits.REPORTED_BYTES) == (8192, 32_768, 32_768)
    assert (limits.TWIN_INTEGER_MIN, limits.TWIN_INTEGER_MAX) == (-4503599627370496, 4503599627370495)
