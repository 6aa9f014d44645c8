"""Values of a job against the settings schemas of the devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.settings_check import check_values
from iot_core.errors import InputError

RATE = {"type": "number", "minimum": 0.2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    device = {"properties": {"rate": RATE, "mode": {"enum": ["eco", "full"]}}}
    module = {"properties": {"rate": {"type": "number", "minimum": 10}, "model": {"type": "string"}}}
    (tmp_path / "a-device.json").write_text(json.dumps(device))
    (tmp_path / "a-module.json").write_text(json.dumps(module))
    return tmp_path


def check(folder: Path, desired: dict[str, Any], schema: str | None = None) -> str:
    return check_values(JobSpec(where="*", desired=desired), schema, folder=folder)


def test_the_schema_that_knows_the_settings_is_found(folder: Path) -> None:
    assert check(folder, {"rate": 5, "mode": "eco"}) == "a-device.json"
    assert check(folder, {"model": "x"}) == "a-module.json"


def test_a_value_that_it_refuses_is_named_with_the_schema(folder: Path) -> None:
    with pytest.raises(InputError, match=r"a-device\.json refuses it: rate: must be at least 0\.2, not -1"):
        check(folder, {"rate": -1})


def test_types_are_checked(folder: Path) -> None:
    with pytest.raises(InputError, match="rate: must be number, not '5'"):
        check(folder, {"rate": "5"})


def test_null_takes_a_setting_back(folder: Path) -> None:
    assert check(folder, {"rate": None}, "a-device") == "a-device.json"


def test_a_named_schema_holds_and_knows_its_names(folder: Path) -> None:
    with pytest.raises(InputError, match="must be at least 10"):
        check(folder, {"rate": 5}, "a-module")
    with pytest.raises(InputError, match="colour: there is no such setting"):
        check(folder, {"colour": 1}, "a-module")


def test_what_no_schema_knows_is_said(folder: Path) -> None:
    assert check(folder, {"colour": 1}) == "the rules of twins only: no schema knows colour"
    assert check(folder, {"rate": -1}, "none") == "the rules of twins only"


def test_the_rules_of_twins_hold_always(folder: Path) -> None:
    with pytest.raises(InputError, match="none that a twin can hold"):
        check(folder, {"a.b": 1}, "none")


def test_a_schema_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(InputError, match="there are: a-device, a-module"):
        check(folder, {"rate": 1}, "other")
