"""What a job is: its values, its file, its window."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub_tools.jobs.job import JobSpec, MethodCall, TwinPath
from hub_tools.jobs.job_file import job_from_values, moment, read_job_file
from hub_tools.jobs.window import Window
from iot_core.errors import InputError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_job_touches_every_value_of_its_patches_and_deletes_with_null() -> None:
    spec = JobSpec(where="*", desired={"limits": {"low": 5, "high": None}, "mode": "eco"}, tags={"wave": 2})
    assert [str(path) for path in spec.touched] == [
        "desired.limits.low",
        "desired.limits.high",
        "desired.mode",
        "tags.wave",
    ]
    assert [spec.target(path) for path in spec.touched] == [5, None, "eco", 2]
    assert spec.patch() == {"tags": {"wave": 2}, "properties": {"desired": spec.desired}}


def test_a_path_gives_the_patch_of_its_value() -> None:
    path = TwinPath.parse("desired.limits.low")
    assert path.patch(3) == {"properties": {"desired": {"limits": {"low": 3}}}}
    assert TwinPath.parse("tags.a").patch(None) == {"tags": {"a": None}}


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(where="tags.a = 1", desired={"a": None}, confirm="properties.reported.a = 1", reason="tidy"),
        JobSpec(where="*", method=MethodCall(name="reboot", payload={"delay": 1}), start=5.0, expires=9.0),
        JobSpec(where="*", c2d="hello", window=Window.parse("22:00-05:30", "Europe/Berlin"), wait=False),
    ],
)
def test_a_job_comes_back_from_json_as_it_was(spec: JobSpec) -> None:
    assert JobSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"where": " ", "desired": {"a": 1}}, "needs a condition"),
        ({"where": "*"}, "give one"),
        ({"where": "*", "desired": {"a": 1}, "c2d": "x"}, "give one"),
        ({"where": "tags.a LIKE 'x'", "desired": {"a": 1}}, "--where"),
        ({"where": "*", "desired": {"a": 1}, "confirm": "a ="}, "--confirm"),
        ({"where": "*", "desired": {"a": 1}, "job_id": "Upper"}, "job id"),
    ],
)
def test_what_cannot_be_a_job_is_refused_by_name(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        JobSpec(**values)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"where": "*", "desired": {"a": 1}}, "--all"),
        ({"where": "tags.a = 1", "all": True, "desired": {"a": 1}}, "not both"),
        ({"desired": {"a": 1}}, "needs a condition"),
        ({"all": True, "desire": {"a": 1}}, "'desire'"),
        ({"all": True, "payload": {}, "desired": {"a": 1}}, "needs a method"),
        ({"all": True, "desired": {"a": 1}, "tz": "UTC"}, "needs hours"),
        ({"all": True, "desired": {"a": 1}, "between": "2-5"}, "--between"),
        ({"all": True, "desired": {"a": 1}, "between": "02:00-05:00", "tz": "Mars"}, "--tz Mars"),
        ({"all": True, "desired": {"a": 1}, "start": "soon"}, "start soon"),
        ({"all": True, "desired": [1]}, "names with values"),
    ],
)
def test_wrong_values_of_a_file_are_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        job_from_values(values, now=NOW)


def test_a_yaml_file_says_it_all(tmp_path: Path) -> None:
    (tmp_path / "groups.yaml").write_text("groups:\n  lab: tags.room = 'lab'\n")
    file = tmp_path / "job.yaml"
    file.write_text(
        "group: lab\ndesired: {reportingInterval: 5, old: null}\nbetween: 02:00-05:00\ntz: Europe/Berlin\nexpires: 2d\n"
    )
    spec = read_job_file(file, now=NOW)
    assert (spec.where, spec.named) == ("tags.room = 'lab'", "group lab of groups.yaml")
    assert spec.desired == {"reportingInterval": 5, "old": None}
    assert spec.expires == NOW + 2 * 86400


def test_a_group_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "groups.yaml").write_text("groups:\n  lab: tags.room = 'lab'\n")
    with pytest.raises(InputError, match=r"no group 'office'.*there are lab"):
        job_from_values({"group": "office", "desired": {"a": 1}}, now=NOW, folder=tmp_path)


def test_a_python_file_makes_the_job(tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text(
        "from hub_tools.jobs import JobSpec\ndef job():\n    return JobSpec(where='*', tags={'n': 2 + 3})\n"
    )
    assert read_job_file(file, now=NOW).tags == {"n": 5}


def test_an_error_in_a_python_file_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "job.py"
    file.write_text("x = 1\n\ny = x / 0\n")
    with pytest.raises(InputError, match=r"job\.py:3: ZeroDivisionError"):
        read_job_file(file, now=NOW)


def test_moments_are_times_or_durations_from_now() -> None:
    assert moment("90s", NOW, "start") == NOW + 90
    assert moment("+1.5h", NOW, "start") == NOW + 5400
    assert moment("2026-03-01T12:00:01Z", NOW, "start") == NOW + 1
    assert moment(None, NOW, "start") is None


@pytest.mark.parametrize(
    ("now", "wait_h"),
    [("2026-01-10T03:00+01:00", 0), ("2026-01-10T05:00+01:00", 21), ("2026-01-10T00:30+01:00", 1.5)],
)
def test_a_window_says_how_long_until_it_opens(now: str, wait_h: float) -> None:
    assert Window.parse("02:00-05:00", "Europe/Berlin").wait_s(at(now)) == wait_h * 3600


@pytest.mark.parametrize(("now", "wait_h"), [("2026-01-10T23:00+00:00", 0), ("2026-01-10T12:00+00:00", 10)])
def test_a_window_may_go_over_midnight(now: str, wait_h: float) -> None:
    assert Window.parse("22:00-05:00", "UTC").wait_s(at(now)) == wait_h * 3600


def test_a_window_opens_by_the_wall_clock_on_the_day_the_clocks_change() -> None:
    opening = Window.parse("04:00-05:00", "Europe/Berlin").wait_s(at("2026-03-29T00:00+01:00"))
    assert opening == 3 * 3600
