"""Changes of digital twins as JSON Patches."""

from __future__ import annotations

from iot_core.plug_and_play import digital_twin_changes


def test_what_comes_changes_and_goes() -> None:
    before = {"a": 1, "gone": 2, "c": {"x": 1, "$metadata": {"x": {"ackCode": 200}}}}
    after = {"a": 2, "new": {"y": 1}, "c": {"x": 1, "$metadata": {"x": {"ackCode": 202}}}}
    assert digital_twin_changes(before, after) == [
        {"op": "remove", "path": "/gone"},
        {"op": "replace", "path": "/a", "value": 2},
        {"op": "add", "path": "/new", "value": {"y": 1}},
        {"op": "replace", "path": "/c/$metadata/x/ackCode", "value": 202},
    ]


def test_what_stays_is_not_told() -> None:
    assert digital_twin_changes({"a": {"b": [1]}}, {"a": {"b": [1]}}) == []


def test_true_is_not_one() -> None:
    assert digital_twin_changes({"a": 1}, {"a": True}) == [{"op": "replace", "path": "/a", "value": True}]


def test_slashes_and_tildes_in_names_are_escaped() -> None:
    assert digital_twin_changes({}, {"a/b~c": 1}) == [{"op": "add", "path": "/a~1b~0c", "value": 1}]
