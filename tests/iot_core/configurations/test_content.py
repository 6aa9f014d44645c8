from __future__ import annotations

from typing import Any

import pytest

from iot_core.configurations import ConfigurationContentError, parse_content, settings_of, with_settings
from iot_core.configurations.content import modules_named, without_settings

BASE = {
    "$edgeAgent": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker"},
            "systemModules": {"edgeAgent": {}, "edgeHub": {}},
            "modules": {"sim": {}},
        }
    },
    "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
    "sim": {"properties.desired": {"rate": 5}},
}


@pytest.mark.parametrize(
    ("values", "sections", "after"),
    [
        ({"a": 1}, {"properties.desired": {"b": 2}}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"properties.desired.a.b": {"d": 3}}, {"a": {"b": {"d": 3}, "c": 2}}),
        ({"a": 1}, {"properties.desired.a.b": 2}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"properties.desired.a.b": None}, {"a": {}}),
        ({"z": 1}, {"properties.desired.a.b": None}, {"z": 1}),
        ({}, {"properties.desired.a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({}, {"properties.desired.a.b": 1, "properties.desired": {"a": {"c": 2}}}, {"a": {"b": 1, "c": 2}}),
    ],
)
def test_settings_replace_what_is_at_their_path(values: Any, sections: Any, after: Any) -> None:
    assert with_settings(values, settings_of(sections)) == after


@pytest.mark.parametrize(
    ("values", "sections", "after"),
    [
        ({"a": {"b": 1, "c": 2}}, {"properties.desired.a.b": 9}, {"a": {"c": 2}}),
        ({"a": 1, "own": 2}, {"properties.desired": {"a": 5}}, {"own": 2}),
        ({"a": 1}, {"properties.desired.a": None}, {"a": 1}),
        ({"own": 2}, {"properties.desired.a.b": 9}, {"own": 2}),
    ],
)
def test_settings_can_be_taken_back(values: Any, sections: Any, after: Any) -> None:
    assert without_settings(values, settings_of(sections)) == after


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"deviceContent": {}},
        {"deviceContent": {"properties.desired.a": 1}, "moduleContent": {"properties.desired.a": 1}},
        {"deviceContent": {"tags.a": 1}},
        {"deviceContent": {"properties.desired..a": 1}},
        {"deviceContent": {"properties.desired": 1}},
        {"deviceContent": {"properties.desired.a": [None]}},
        {"deviceContent": {"properties.desired.a b": 1}},
        {"modulesContent": {"sim": {"properties.desired": {}}}},
        {"modulesContent": {"$edgeAgent": {"properties.desired": {}}}},
        {"modulesContent": {"$edgeAgent": {"properties.desired.runtime": {}}}},
    ],
)
def test_content_that_cannot_be_is_refused(content: Any) -> None:
    with pytest.raises(ConfigurationContentError):
        parse_content(content)


@pytest.mark.parametrize(
    "content",
    [
        {"deviceContent": {"properties.desired.a.b": {"c": None}}},
        {"moduleContent": {"properties.desired": {"a": 1}}, "modulesContent": {}},
        {"modulesContent": BASE},
        {"modulesContent": {"$edgeAgent": {}, "sim": {"properties.desired.a": 1}}},
    ],
)
def test_content_is_kept_as_it_was_given(content: Any) -> None:
    parsed = parse_content(content)
    assert parsed.document == {parsed.kind: content[parsed.kind]}


def test_modules_of_a_deployment_are_those_it_runs_and_those_it_writes_to() -> None:
    layer = {"$edgeAgent": {"properties.desired.modules.extra": {}}, "other": {"properties.desired.a": 1}}
    assert modules_named(BASE) == {"sim"}
    assert modules_named(layer) == {"extra", "other"}
