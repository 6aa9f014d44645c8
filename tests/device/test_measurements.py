"""The recorded temperatures."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from device.measurements import CITIES, temperatures
from iot_core.errors import InputError


@pytest.mark.parametrize("city", CITIES)
def test_a_year_of_hours_in_order(city: str) -> None:
    readings = temperatures(city)
    steps = [after.time - before.time for before, after in pairwise(readings)]
    assert len(readings) == 8759
    assert steps.count(timedelta(hours=1)) == len(steps) - 1
    assert steps.count(timedelta(hours=2)) == 1


def test_the_values_are_those_of_the_source_in_celsius() -> None:
    assert temperatures("seattle")[0].time == datetime(2010, 1, 1)
    assert temperatures("seattle")[0].celsius == 4.1
    assert temperatures("san-francisco")[0].celsius == 8.8


@pytest.mark.parametrize("city", CITIES)
def test_temperatures_are_plausible(city: str) -> None:
    assert all(-10 < reading.celsius < 40 for reading in temperatures(city))


def test_an_unknown_city_is_refused() -> None:
    with pytest.raises(InputError, match="choose one of seattle, san-francisco"):
        temperatures("atlantis")
