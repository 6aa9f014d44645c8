"""JSON Schema as schemas of settings use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iot_core.errors import SettingsError
from iot_core.schema import Schema

SCHEMAS = Path(__file__).resolve().parents[2] / "deployments" / "schemas"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0], [1.5, True, "1", None]),
        ({"type": "number"}, [1, 1.5], [True, "1"]),
        ({"type": "boolean"}, [True], [1, 0]),
        ({"type": ["string", "null"]}, ["", None], [1]),
        ({"minimum": 1, "exclusiveMaximum": 3}, [1, 2.9, "text"], [0.9, 3]),
        ({"maximum": 3, "exclusiveMinimum": 1}, [3, 1.1], [1, 3.1]),
        ({"minLength": 2, "maxLength": 3}, ["ab", "abc", 1], ["a", "abcd"]),
        ({"pattern": "^a+$"}, ["aa", 1], ["b", "ab"]),
        ({"enum": ["a", 1]}, ["a", 1], ["b", True]),
        ({"const": 2}, [2], [3]),
        ({"multipleOf": 5}, [10], [11]),
        ({"items": {"type": "string"}, "minItems": 1, "maxItems": 2}, [["a"]], [[], [1], ["a", "b", "c"]]),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [["a", 1], []], [[1], ["a", "b"]]),
        ({"uniqueItems": True}, [[1, 2], [1, True]], [[1, 1]]),
        ({"required": ["a"]}, [{"a": 1}, 5], [{}]),
        ({"properties": {"a": {"type": "string"}}, "additionalProperties": False}, [{"a": ""}], [{"a": 1}, {"b": 1}]),
        ({"patternProperties": {"^x": {"type": "string"}}}, [{"x1": ""}], [{"x1": 1}, {"y": 1}]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"anyOf": [{"type": "string"}, {"minimum": 3, "type": "number"}]}, ["a", 3], [2, None]),
        ({"oneOf": [{"minimum": 1}, {"minimum": 5}]}, [1], [0, 5]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [0, 3]),
        ({"$ref": "#/$defs/T", "$defs": {"T": {"type": "string"}}}, ["a"], [1]),
    ],
)
def test_keywords_take_what_is_right_and_nothing_else(schema: Any, good: list[Any], bad: list[Any]) -> None:
    checked = Schema(schema)
    assert [value for value in good if checked.problems(value)] == []
    assert [value for value in bad if not checked.problems(value)] == []


def test_a_problem_says_where_it_is() -> None:
    schema = Schema({"properties": {"a": {"items": {"properties": {"b": {"type": "string"}}}}}})
    assert schema.problems({"a": [{}, {"b": 1}]}) == ["a[1].b: must be string, not 1"]
    assert schema.problems_of("a", [{"b": 2}]) == ["a[0].b: must be string, not 2"]


def test_a_keyword_that_is_not_known_is_refused_not_passed_over() -> None:
    with pytest.raises(SettingsError, match="'propertyNames'"):
        Schema({"properties": {"a": {"propertyNames": {}}}})


@pytest.mark.parametrize("file", sorted(SCHEMAS.glob("*.json")), ids=lambda file: file.stem)
def test_the_schemas_of_all_settings_are_understood(file: Path) -> None:
    schema = Schema(json.loads(file.read_text()))
    defaults = {name: part["default"] for name, part in schema.properties.items() if "default" in part}
    assert schema.problems(defaults) == []
