"""JSON Patches of digital twins, and the changes of desired properties that they are."""

from __future__ import annotations

from typing import Any

import pytest

from iot_core.errors import HubError
from iot_core.plug_and_play import desired_patch, parse_operations
from iot_core.twin import merge_patch

Json = dict[str, Any]
THERMOSTAT = {"thermostat1": {"__t": "c", "target": 20.4, "other": 1}}


def op(verb: str, path: str, *value: Any) -> Json:
    return {"op": verb, "path": path, **({"value": value[0]} if value else {})}


def change(operations: list[Json], desired: Json | None = None, reported: Json | None = None) -> Json:
    return desired_patch(parse_operations(operations), desired or {}, reported or {})


def refusal(operations: Any, desired: Json | None = None, reported: Json | None = None) -> str:
    with pytest.raises(HubError) as refused:
        desired_patch(parse_operations(operations), desired or {}, reported or {})
    return refused.value.name


@pytest.mark.parametrize("verb", ["add", "replace"])
def test_a_property_is_set(verb: str) -> None:
    assert change([op(verb, "/fanSpeed", 2.0)]) == {"fanSpeed": 2.0}


def test_a_property_of_a_component_brings_the_marker() -> None:
    assert change([op("add", "/thermostat1/target", 21.4)]) == {"thermostat1": {"__t": "c", "target": 21.4}}


def test_a_property_of_a_component_leaves_the_others() -> None:
    patch = change([op("add", "/thermostat1/target", 21.4)], THERMOSTAT)
    assert merge_patch(THERMOSTAT, patch)["thermostat1"] == {"__t": "c", "target": 21.4, "other": 1}


@pytest.mark.parametrize("verb", ["add", "replace"])
def test_a_component_is_replaced_whole(verb: str) -> None:
    patch = change([op(verb, "/thermostat1", {"target": 21.4, "$metadata": {}})], THERMOSTAT)
    assert merge_patch(THERMOSTAT, patch) == {"thermostat1": {"__t": "c", "target": 21.4}}


def test_a_complex_value_is_replaced_whole() -> None:
    before = {"place": {"x": 1, "y": {"a": 1}}}
    patch = change([op("replace", "/place", {"y": {"b": 2}})], before)
    assert merge_patch(before, patch) == {"place": {"y": {"b": 2}}}


def test_what_is_removed_is_desired_no_more() -> None:
    assert change([op("remove", "/thermostat1")], THERMOSTAT) == {"thermostat1": None}
    assert change([op("remove", "/thermostat1/other")], THERMOSTAT) == {"thermostat1": {"__t": "c", "other": None}}


def test_a_component_goes_with_its_last_property() -> None:
    operations = [op("remove", "/thermostat1/other"), op("remove", "/thermostat1/target")]
    assert change(operations, THERMOSTAT) == {"thermostat1": None}


def test_removing_what_is_not_desired_changes_nothing() -> None:
    assert change([op("remove", "/fanSpeed"), op("remove", "/thermostat1/target")]) == {}


def test_operations_count_one_after_the_other() -> None:
    operations = [op("add", "/a", 1), op("add", "/a", 2), op("add", "/b", 1), op("remove", "/b")]
    assert change(operations) == {"a": 2}


@pytest.mark.parametrize(
    "document",
    [{}, ["x"], [{}], [op("move", "/a", 1)], [op("add", "/a")], [op("test", "/a", 1)]],
    ids=["object", "text", "empty", "move", "no value", "test"],
)
def test_what_is_no_such_patch_is_refused(document: Any) -> None:
    assert refusal(document) == "InvalidDigitalTwinJsonPatch"


BAD_PATHS = ["", "a", "/", "/a/b/c", "/$metadata/a", "/1a", "/a_", "/a.b", f"/{'a' * 65}", None, 5]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_must_be_of_names(path: Any) -> None:
    assert refusal([{"op": "add", "path": path, "value": 1}]) == "InvalidDigitalTwinPatchPath"


DEEP = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}


@pytest.mark.parametrize(
    "value",
    [None, [1], {"a": [1]}, {"a": None}, {"a b": 1}, DEEP, {"$metadata": {"x": 1}}, {"$metadata": {}, "a": None}],
    ids=["null", "array", "array inside", "null inside", "name", "deep", "metadata", "null in component"],
)
def test_a_value_must_be_one_of_a_property(value: Any) -> None:
    assert refusal([op("add", "/a", value)]) == "InvalidDigitalTwinPatch"


@pytest.mark.parametrize("section", ["desired", "reported"])
def test_what_is_no_component_in_the_device_twin_is_not_written_as_one(section: str) -> None:
    assert refusal([op("add", "/a/b", 1)], **{section: {"a": {"b": 0}}}) == "ArgumentInvalid"
    assert refusal([op("add", "/a", {"b": 1, "$metadata": {}})], **{section: {"a": 1}}) == "ArgumentInvalid"
    assert refusal([op("add", "/a", {"b": 1})], **{section: {"a": {"__t": "c", "b": 0}}}) == "ArgumentInvalid"
