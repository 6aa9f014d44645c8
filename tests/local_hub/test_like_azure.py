from __future__ import annotations

from pathlib import Path

import pytest

from iot_core.errors import InputError
from local_hub.config import HubConfig
from local_hub.controls.like_azure import like_azure
from local_hub.controls.throttles import Operation
from local_hub.fronts.rest.operations import operation_of
from local_hub.fronts.rest.routes import ROUTES

PLAIN = HubConfig(home=Path("home"))


@pytest.mark.parametrize(("text", "tier", "units"), [("S2:10", "S2", 10), ("s1", "S1", 1), ("F1:1", "F1", 1)])
def test_tier_and_units_bring_all_that_slows_a_real_hub(text: str, tier: str, units: int) -> None:
    config = like_azure(PLAIN, text)
    assert (config.tier, config.units, config.throttle) == (tier, units, True)
    assert config.query_lag_s > 0
    assert not config.cadence.immediate
    assert config.cadence.interval_s == 300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("S2:0", "1 to 200 units"),
        ("S3:11", "1 to 10 units"),
        ("F1:2", "1 to 1 units"),
        ("B1", "tier 'B1' is not built"),
        ("S4", "is no tier"),
        ("S2:ten", "is no tier"),
        ("", "is no tier"),
    ],
)
def test_what_no_hub_has_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        like_azure(PLAIN, text)


def test_a_plain_hub_is_not_slowed() -> None:
    assert (PLAIN.throttle, PLAIN.query_lag_s, PLAIN.cadence.immediate) == (False, 0.0, True)


@pytest.mark.parametrize(
    ("route", "operation"),
    [
        ("GET /devices", Operation.REGISTRY_READ),
        ("POST /devices", Operation.REGISTRY_WRITE),
        ("DELETE /devices/{device}/modules/{module}", Operation.REGISTRY_WRITE),
        ("GET /statistics/devices", Operation.REGISTRY_READ),
        ("POST /devices/query", Operation.QUERY),
        ("GET /twins/{device}", Operation.TWIN_READ),
        ("PATCH /twins/{device}/modules/{module}", Operation.TWIN_UPDATE),
        ("POST /twins/{device}/methods", Operation.METHOD),
        ("PUT /jobs/v2/{job}", Operation.JOB),
        ("GET /configurations", Operation.CONFIGURATION_READ),
        ("PUT /configurations/{id}", Operation.CONFIGURATION_WRITE),
        ("POST /devices/{device}/applyConfigurationContent", Operation.CONFIGURATION_WRITE),
        ("POST /devices/{device}/messages/events", Operation.DEVICE_TO_CLOUD),
        ("GET /devices/{device}/messages/deviceBound", Operation.CLOUD_TO_DEVICE_RECEIVE),
        ("POST /devices/{device}/files", Operation.UPLOAD),
        ("GET /messages/serviceBound/feedback", None),
    ],
)
def test_each_route_counts_in_its_class(route: str, operation: Operation | None) -> None:
    [found] = [known for known in ROUTES if f"{known.verb} {known.path}" == route]
    assert operation_of(found) is operation
