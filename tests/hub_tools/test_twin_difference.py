"""Desired against reported properties, and the patch between two documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_tools.twin_difference import PropertyState, compare_properties, patch_between
from iot_core.twin import merge_patch


def twin(desired: dict[str, Any], reported: dict[str, Any], version: int = 7) -> dict[str, Any]:
    """Every desired property was last set in `version`."""
    marks = {name: {"$lastUpdatedVersion": version} for name in desired}
    return {"properties": {"desired": {**desired, "$metadata": marks, "$version": version}, "reported": reported}}


@pytest.mark.parametrize(
    ("reported", "state"),
    [
        ({"value": 5, "ac": 200, "av": 7}, PropertyState.ACKNOWLEDGED),
        ({"value": 5, "ac": 200, "av": 6}, PropertyState.PENDING),
        ({"value": 5, "ac": 202, "av": 7}, PropertyState.PENDING),
        ({"value": 9, "ac": 400, "av": 7, "ad": "too short"}, PropertyState.REFUSED),
        ({"value": 9, "ac": 200, "av": 7}, PropertyState.DIFFERENT),
        (5, PropertyState.EQUAL),
        (9, PropertyState.DIFFERENT),
        (None, PropertyState.UNANSWERED),
    ],
)
def test_a_property_stands_as_its_answer_says(reported: Any, state: PropertyState) -> None:
    [row] = compare_properties(twin({"interval": 5}, {} if reported is None else {"interval": reported}))
    assert (row.name, row.state) == ("interval", state)


def test_a_refusal_tells_code_version_and_reason() -> None:
    [row] = compare_properties(twin({"a": 1}, {"a": {"value": 2, "ac": 400, "av": 7, "ad": "too short"}}))
    assert row.document() == {
        "name": "a",
        "state": "refused",
        "desired": 1,
        "reported": 2,
        "version": 7,
        "ac": 400,
        "av": 7,
        "ad": "too short",
    }


def test_objects_are_compared_by_their_leaves() -> None:
    rows = compare_properties(twin({"a": {"b": 1, "c": True}}, {"a": {"b": 1, "c": 1}}))
    assert [(row.name, row.state.value) for row in rows] == [("a.b", "equal"), ("a.c", "different")]


def test_what_is_only_reported_comes_last() -> None:
    rows = compare_properties(twin({"z": 1}, {"a": 3, "z": 1, "$version": 9}))
    assert [(row.name, row.state.value) for row in rows] == [("z", "equal"), ("a", "reported only")]


JSON = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text("xy", max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(st.integers(0, 2), max_size=2),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_the_patch_between_two_documents_makes_one_of_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    made = merge_patch(old, patch_between(old, new))
    assert json.dumps(made, sort_keys=True) == json.dumps(new, sort_keys=True)


@given(OBJECTS)
def test_between_equal_documents_there_is_no_patch(document: dict[str, Any]) -> None:
    assert patch_between(document, document) == {}
