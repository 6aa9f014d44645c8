"""Faults put into recorded readings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from iot_core.errors import InputError
from modules.replay.faults import FaultInjector, FaultRequest
from modules.replay.settings import Sensor

NOW = "2026-01-01T00:00:00.0000000Z"


def request(**fields: Any) -> FaultRequest:
    return FaultRequest.model_validate({"sensor": Sensor.SEATTLE, **fields}, strict=False)


def play(injector: FaultInjector, *values: float, sensor: Sensor = Sensor.SEATTLE) -> list[float]:
    return [injector.reading(sensor, f"t{number}", value) for number, value in enumerate(values)]


def test_without_a_fault_readings_pass_through() -> None:
    assert play(FaultInjector(), 1.0, 2.0) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("kind", "corrupted"),
    [("spike", [21.0, 22.0, 23.0]), ("stuck", [10.0, 10.0, 10.0]), ("drift", [4.33, 8.67, 13.0])],
)
def test_each_kind_corrupts_count_readings_and_no_more(kind: str, corrupted: list[float]) -> None:
    injector = FaultInjector()
    play(injector, 10.0)
    injector.inject(request(kind=kind, magnitude=20 if kind == "spike" else 10, count=3), NOW)
    assert play(injector, 1.0, 2.0, 3.0, 4.0) == [*corrupted, 4.0]


def test_other_sensors_are_not_touched() -> None:
    injector = FaultInjector()
    injector.inject(request(kind="spike"), NOW)
    assert play(injector, 1.0, sensor=Sensor.SAN_FRANCISCO) == [1.0]


def test_the_announcement_tells_what_was_corrupted_and_when() -> None:
    injector = FaultInjector()
    injector.inject(request(kind="spike", magnitude=5, count=2), NOW)
    play(injector, 1.0, 1.0, 1.0)
    assert injector.announcements() == [
        {
            "sensor": "seattle",
            "kind": "spike",
            "magnitude": 5,
            "count": 2,
            "injectedAt": NOW,
            "corrupted": 2,
            "firstTime": "t0",
            "lastTime": "t1",
            "finished": True,
        }
    ]


def test_one_fault_at_a_time_on_a_sensor() -> None:
    injector = FaultInjector()
    injector.inject(request(kind="stuck"), NOW)
    with pytest.raises(InputError, match="still under way on seattle"):
        injector.inject(request(kind="spike"), NOW)


def test_only_the_last_ten_faults_are_remembered() -> None:
    injector = FaultInjector()
    for number in range(12):
        injector.inject(request(kind="spike", magnitude=number), NOW)
        play(injector, 0.0)
    assert [fault["magnitude"] for fault in injector.announcements()] == list(range(2, 12))


@pytest.mark.parametrize(
    "fields", [{"kind": "explode"}, {"kind": "spike", "count": 0}, {"kind": "spike", "sensor": "x"}]
)
def test_bad_requests_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request(**fields)
