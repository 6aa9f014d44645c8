"""Typed settings bound to desired properties: acceptance, refusal, defaults, versions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, model_validator

from device.settings import ReportingSettings, SecretText, SettingsSession, TwinSettings
from iot_core.errors import SettingsError


class Mode(StrEnum):
    ECO = "eco"
    FULL = "full"


class Limits(BaseModel):
    low: int = 1
    high: int = 9


class PumpSettings(ReportingSettings):
    low_level: int = Field(default=10, ge=0, le=100)
    high_level: int = Field(default=90, ge=0, le=100)
    mode: Mode = Mode.ECO
    limits: Limits = Limits()

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.low_level >= self.high_level:
            raise ValueError("lowLevel must be under highLevel")
        return self


@pytest.fixture
def session() -> SettingsSession[PumpSettings]:
    return SettingsSession(PumpSettings)


def ack(reported: dict[str, Any], name: str) -> tuple[Any, int, int]:
    return reported[name]["value"], reported[name]["ac"], reported[name]["av"]


def test_defaults_nobody_wrote_are_reported_as_set_by_the_device(session: SettingsSession[PumpSettings]) -> None:
    settings, reported = session.apply({"$version": 1}, full=True)
    assert settings == PumpSettings()
    assert ack(reported, "lowLevel") == (10, 203, 0)
    assert set(reported) == {"reportingInterval", "lowLevel", "highLevel", "mode", "limits"}


def test_a_good_value_is_applied_and_acknowledged_with_its_version(session: SettingsSession[PumpSettings]) -> None:
    settings, reported = session.apply({"reportingInterval": 2, "$version": 4})
    assert settings.reporting_interval == 2
    assert reported == {"reportingInterval": {"value": 2, "ac": 200, "av": 4, "ad": "applied"}}


def test_a_bad_value_keeps_the_one_in_force_and_says_why(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"lowLevel": 20, "$version": 2})
    settings, reported = session.apply({"lowLevel": 500, "$version": 3})
    assert settings.low_level == 20
    assert ack(reported, "lowLevel") == (20, 400, 3)
    assert reported["lowLevel"]["ad"] == "Input should be less than or equal to 100"


@pytest.mark.parametrize("value", ["5", True, [5], {"a": 1}, 0.1, 1e9])
def test_values_are_strict(session: SettingsSession[PumpSettings], value: Any) -> None:
    _, reported = session.apply({"reportingInterval": value, "$version": 2})
    assert ack(reported, "reportingInterval") == (10, 400, 2)


def test_a_bad_setting_does_not_hold_up_the_good_ones(session: SettingsSession[PumpSettings]) -> None:
    settings, reported = session.apply({"lowLevel": "x", "highLevel": 80, "mode": "full", "$version": 2})
    assert (settings.low_level, settings.high_level, settings.mode) == (10, 80, Mode.FULL)
    assert {name: entry["ac"] for name, entry in reported.items()} == {"lowLevel": 400, "highLevel": 200, "mode": 200}


def test_a_conflict_of_two_settings_does_not_hold_up_a_third(session: SettingsSession[PumpSettings]) -> None:
    settings, reported = session.apply({"lowLevel": 60, "highLevel": 50, "mode": "full", "$version": 2})
    assert settings.mode is Mode.FULL
    assert sorted(entry["ac"] for entry in reported.values()) == [200, 200, 400]
    assert "lowLevel must be under highLevel" in {entry["ad"] for entry in reported.values()}


def test_settings_that_are_valid_only_together_are_applied_together(session: SettingsSession[PumpSettings]) -> None:
    settings, _ = session.apply({"lowLevel": 95, "highLevel": 99, "$version": 2})
    assert (settings.low_level, settings.high_level) == (95, 99)


def test_a_refused_value_is_applied_once_it_fits(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"lowLevel": 95, "$version": 2})
    settings, reported = session.apply({"highLevel": 99, "$version": 3})
    assert settings.low_level == 95
    assert ack(reported, "lowLevel") == (95, 200, 3)


def test_a_deleted_setting_returns_to_its_default(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"lowLevel": 20, "$version": 2})
    settings, reported = session.apply({"lowLevel": None, "$version": 3})
    assert settings.low_level == 10
    assert ack(reported, "lowLevel") == (10, 200, 3)


def test_a_setting_deleted_while_offline_returns_to_its_default(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"lowLevel": 20, "$version": 2})
    settings, reported = session.apply({"mode": "full", "$version": 5}, full=True)
    assert (settings.low_level, settings.mode) == (10, Mode.FULL)
    assert ack(reported, "lowLevel") == (10, 200, 5)


def test_a_patch_of_a_nested_setting_is_merged(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"limits": {"low": 3}, "$version": 2})
    settings, reported = session.apply({"limits": {"high": 7}, "$version": 3})
    assert (settings.limits.low, settings.limits.high) == (3, 7)
    assert reported["limits"]["value"] == {"low": 3, "high": 7}


def test_a_problem_inside_a_nested_setting_names_the_place(session: SettingsSession[PumpSettings]) -> None:
    _, reported = session.apply({"limits": {"low": "x"}, "$version": 2})
    assert reported["limits"]["ad"].startswith("low: ")


def test_unknown_desired_names_are_left_to_others(session: SettingsSession[PumpSettings]) -> None:
    settings, reported = session.apply({"firmware": "2.1", "$version": 2})
    assert (settings, reported) == (PumpSettings(), {})


def test_older_and_repeated_patches_are_ignored(session: SettingsSession[PumpSettings]) -> None:
    session.apply({"lowLevel": 20, "$version": 5})
    assert session.apply({"lowLevel": 30, "$version": 4}).reported == {}
    assert session.apply({"lowLevel": 30, "$version": 5}).settings.low_level == 20
    assert session.apply({"lowLevel": 30, "$version": 4}, full=True).settings.low_level == 20


def test_on_a_new_connection_the_document_counts_even_with_a_lower_version(
    session: SettingsSession[PumpSettings],
) -> None:
    session.apply({"lowLevel": 20, "$version": 5})
    session.begin_connection()
    assert session.apply({"lowLevel": 30, "$version": 2}, full=True).settings.low_level == 30


def test_a_setting_without_a_default_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(SettingsError, match=r"NoDefault\.speed has no default"):

        class NoDefault(TwinSettings):
            speed: int


VALUES = st.one_of(st.integers(-5, 105), st.none(), st.just("x"))
PATCHES = st.lists(st.fixed_dictionaries({}, optional={"lowLevel": VALUES, "highLevel": VALUES}), max_size=6)


@given(PATCHES)
def test_whatever_comes_the_settings_stay_valid_and_acknowledgements_tell_the_truth(
    patches: list[dict[str, Any]],
) -> None:
    session = SettingsSession(PumpSettings)
    for version, patch in enumerate(patches, start=1):
        settings, reported = session.apply({**patch, "$version": version})
        assert settings.low_level < settings.high_level
        assert set(patch) <= set(reported)
        assert {name: entry["value"] for name, entry in reported.items()}.items() <= settings.to_twin().items()
        wanted = {
            name: entry["value"] == patch[name] for name, entry in reported.items() if patch.get(name) is not None
        }
        assert all(same for name, same in wanted.items() if reported[name]["ac"] == 200)


class WithSecret(TwinSettings):
    key: SecretText = SecretStr("")


def test_a_secret_is_applied_but_never_shown() -> None:
    outcome = SettingsSession(WithSecret).apply({"key": "s3cret", "$version": 2})
    assert outcome.settings.key.get_secret_value() == "s3cret"
    assert outcome.reported == {"key": {"value": "***", "ac": 200, "av": 2, "ad": "applied"}}
    assert "s3cret" not in repr(outcome.settings)


def test_a_refused_secret_is_not_shown_either() -> None:
    session = SettingsSession(WithSecret)
    session.apply({"key": "s3cret", "$version": 2})
    refused = session.apply({"key": ["n3w"], "$version": 3})
    assert (refused.reported["key"]["ac"], refused.settings.key.get_secret_value()) == (400, "s3cret")
    assert "s3cret" not in str(refused.reported)
    assert "n3w" not in str(refused.reported)
