"""Descriptions made from settings classes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from device.schema import dtdl_interface, is_current, json_schema, write_schema
from device.settings import ReportingSettings, TwinSettings
from device.simulated import SimulatedSettings
from iot_core.errors import SettingsError

SCHEMAS = Path(__file__).parents[2] / "deployments" / "schemas"


class Mode(StrEnum):
    SLOW = "slow-motion"
    FAST = "fast"


class Range(BaseModel):
    low: int = 1


class PressSettings(ReportingSettings):
    mode: Mode = Field(default=Mode.SLOW, description="How it moves")
    range: Range = Range()
    label: str | None = None
    levels: dict[str, float] = Field(default_factory=dict)


def test_the_json_schema_has_the_twin_s_names_and_limits() -> None:
    interval = json_schema(PressSettings)["properties"]["reportingInterval"]
    assert (interval["minimum"], interval["maximum"], interval["default"]) == (0.2, 86400, 10)


def test_the_committed_schema_of_the_simulated_device_is_current() -> None:
    assert is_current(SimulatedSettings, SCHEMAS / "simulated-device.json"), "run python -m device.schema"


def test_a_stale_schema_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "press.json"
    assert not is_current(PressSettings, path)
    write_schema(PressSettings, path)
    assert is_current(PressSettings, path)
    assert not is_current(ReportingSettings, path)


def test_dtdl_has_a_writable_property_for_each_setting() -> None:
    interface = dtdl_interface(PressSettings, "dtmi:com:example:Press;1")
    contents = {entry["name"]: entry for entry in interface["contents"]}
    assert contents["reportingInterval"]["schema"] == "double"
    assert contents["mode"] == {
        "@type": "Property",
        "name": "mode",
        "description": "How it moves",
        "schema": {
            "@type": "Enum",
            "valueSchema": "string",
            "enumValues": [
                {"name": "slow_motion", "enumValue": "slow-motion"},
                {"name": "fast", "enumValue": "fast"},
            ],
        },
        "writable": True,
    }
    assert contents["range"]["schema"] == {"@type": "Object", "fields": [{"name": "low", "schema": "long"}]}
    assert contents["label"]["schema"] == "string"
    assert contents["levels"]["schema"]["mapValue"] == {"name": "value", "schema": "double"}


def test_arrays_need_version_3() -> None:
    class Listing(TwinSettings):
        names: list[str] = Field(default_factory=list)

    assert dtdl_interface(Listing, "dtmi:a:b;1")["contents"][0]["schema"]["elementSchema"] == "string"
    with pytest.raises(SettingsError, match="needs version 3"):
        dtdl_interface(Listing, "dtmi:a:b;1", version=2)


def test_what_dtdl_cannot_say_is_refused() -> None:
    class Either(TwinSettings):
        value: int | str = 1

    with pytest.raises(SettingsError, match="a choice of types, as in the setting 'value'"):
        dtdl_interface(Either, "dtmi:a:b;1")
