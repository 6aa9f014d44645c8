from __future__ import annotations

from typing import Any

import pytest

from iot_core.configurations import (
    ConfigurationError,
    MetricQueryError,
    TargetConditionError,
    TooManyModulesError,
    parse_content,
    parse_settings,
)

CONTENT = {"deviceContent": {"properties.desired.a": 1}}
MODULE_CONTENT = {"moduleContent": {"properties.desired.a": 1}}


def test_what_is_left_out_has_defaults() -> None:
    settings = parse_settings("fw-1", {"content": CONTENT})
    assert (settings.priority, settings.target_condition, settings.labels, settings.schema_version) == (
        *(0, "", None),
        None,
    )
    assert settings.metrics == {}


def test_content_in_an_update_is_ignored() -> None:
    kept = parse_content(CONTENT)
    body = {"content": {"deviceContent": {"properties.desired.b": 2}}, "priority": 4}
    assert parse_settings("fw-1", body, kept).content == kept


@pytest.mark.parametrize("name", ["fw-1", "a+b%_*!'", "x" * 128])
def test_ids(name: str) -> None:
    assert parse_settings(name, {"content": CONTENT, "id": name}).priority == 0


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("Upper", {}, ConfigurationError),
        ("a.b", {}, ConfigurationError),
        ("x" * 129, {}, ConfigurationError),
        ("a", {"id": "b"}, ConfigurationError),
        ("a", {"priority": -1}, ConfigurationError),
        ("a", {"priority": "1"}, ConfigurationError),
        ("a", {"priority": True}, ConfigurationError),
        ("a", {"labels": {"k": 1}}, ConfigurationError),
        ("a", {"schemaVersion": 1}, ConfigurationError),
        ("a", {"targetCondition": "tags.a ="}, TargetConditionError),
        ("a", {"targetCondition": "from devices.modules where moduleId = 'm'"}, TargetConditionError),
        ("a", {"content": MODULE_CONTENT, "targetCondition": "*"}, TargetConditionError),
        ("a", {"metrics": {"queries": {"m": "SELECT nonsense"}}}, MetricQueryError),
        ("a", {"metrics": {"queries": {"m": 1}}}, MetricQueryError),
        ("a", {"metrics": {"queries": {f"m{n}": "SELECT * FROM devices" for n in range(6)}}}, MetricQueryError),
    ],
)
def test_what_cannot_be_is_refused(name: str, change: Any, error: type[ConfigurationError]) -> None:
    with pytest.raises(error):
        parse_settings(name, {"content": CONTENT, **change})


def test_a_deployment_has_at_most_fifty_modules() -> None:
    layer: dict[str, Any] = {"$edgeAgent": {f"properties.desired.modules.m{n}": {} for n in range(51)}}
    with pytest.raises(TooManyModulesError):
        parse_settings("a", {"content": {"modulesContent": layer}})
