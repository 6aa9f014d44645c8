from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import TwinError
from iot_core.twin import Section, SectionName, document_size, merge_patch, patch_tags, replace_tags, validate_section

THEN, NOW = "2026-01-01T00:00:00.0000000Z", "2026-01-02T00:00:00.1234567Z"

scalars = st.booleans() | st.integers(-(2**52), 2**52 - 1) | st.text(st.characters(codec="utf-8"), max_size=5)
keys = st.text(st.characters(codec="utf-8", exclude_characters=".$# ", exclude_categories=["Cc"]), max_size=3)
documents = st.recursive(
    st.dictionaries(keys, scalars | st.lists(scalars, max_size=3), max_size=3),
    lambda inner: st.dictionaries(keys, inner | scalars, max_size=3),
    max_leaves=8,
)
patches = st.recursive(
    st.dictionaries(keys, st.none() | scalars, max_size=3),
    lambda inner: st.dictionaries(keys, st.none() | inner | scalars, max_size=3),
    max_leaves=8,
)


def nested(levels: int, inside: Any) -> dict[str, Any]:
    for _ in range(levels):
        inside = {"k": inside}
    return {"top": inside} if not isinstance(inside, dict) else inside


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 1}, {"a": {}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"z": None}, {"a": 1}),
        ({"a": 1}, {"z": {"y": None}}, {"a": 1, "z": {}}),
        ({}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
    ],
)
def test_a_patch_merges_as_documented(before: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]) -> None:
    assert merge_patch(before, patch) == after
    assert Section(before).patched(patch, NOW).values == after


@given(documents, patches)
def test_a_patch_applied_twice_changes_nothing_more(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once


@given(documents, patches)
def test_merging_changes_neither_target_nor_patch(document: dict[str, Any], patch: dict[str, Any]) -> None:
    before = deepcopy((document, patch))
    merge_patch(document, patch)
    assert (document, patch) == before


@given(documents, documents)
def test_no_null_is_ever_stored(document: dict[str, Any], patch: dict[str, Any]) -> None:
    assert all(leaf is not None for leaf in _leaves(merge_patch(document, patch)))


def test_the_result_does_not_share_arrays_with_the_patch() -> None:
    patch = {"a": [{"b": 1}]}
    merged = merge_patch({}, patch)
    patch["a"][0]["b"] = 2
    assert merged == {"a": [{"b": 1}]}


def test_a_patch_nested_without_end_is_refused() -> None:
    with pytest.raises(TwinError, match="deeper than 64"):
        merge_patch({}, nested(100, 1))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"k.x": 1}, "desired: key 'k.x' holds"),
        ({"a": {"$x": 1}}, r"desired.a: key '\$x' holds"),
        ({"a b": 1}, "key 'a b' holds"),
        ({"a#": 1}, "key 'a#' holds"),
        ({"a\u0007": 1}, "control character"),
        ({"a\u0085": 1}, "control character"),
        ({"k" * 1025: 1}, "1024 bytes"),
        ({"ä" * 513: 1}, "1024 bytes"),
        ({"a": "x" * 4097}, "desired.a: a text may have 4096"),
        ({"a": 2**52}, "desired.a: an integer must be"),
        ({"a": -(2**52) - 1}, "an integer must be"),
        ({"a": float("nan")}, "nan is not a JSON number"),
        ({"a": [1, None]}, r"desired.a\[1\]: null is not allowed"),
        ({"c": [[None]]}, r"desired.c\[0\]\[0\]: null is not allowed"),
        ({"a": (1,)}, "type tuple"),
        ({"a": "\ud800"}, "not valid Unicode"),
        ({1: 1}, "1 is not a text"),
        (nested(12, 1), "10 deep"),
    ],
)
def test_what_a_section_does_not_take(document: dict[str, Any], message: str) -> None:
    with pytest.raises(TwinError, match=message):
        validate_section("desired", document)


@pytest.mark.parametrize(
    "document",
    [
        {"": 1, "ключ": 1, "a-b_c%": 1},
        {"k" * 1024: 1},
        {"a": "x" * 4096},
        {"a": "\u0001" * 5000},
        {"a": 2**52 - 1, "b": -(2**52), "c": 1e300, "d": True, "e": None, "f": [], "g": {}},
        {"$version": 3, "$metadata": {"$lastUpdated": "x"}, "a": 1},
        nested(11, 1),
        nested(10, [1]),
    ],
)
def test_what_a_section_takes(document: dict[str, Any]) -> None:
    validate_section("reported", document)


def test_ten_objects_below_the_section_are_allowed_and_an_eleventh_is_not() -> None:
    validate_section("desired", nested(10, {"scalar": 1}))
    with pytest.raises(TwinError, match="10 deep"):
        validate_section("desired", nested(11, {"scalar": 1}))


@pytest.mark.parametrize(
    ("document", "size"),
    [
        ({}, 0),
        ({"a": 1}, 9),
        ({"ab": True}, 6),
        ({"a": "äb"}, 4),
        ({"a": "x\u0001\n\u0085y"}, 3),
        ({"a": {"b": 1.5}}, 10),
        ({"a": [1, "xy", False]}, 15),
        ({"a": None}, 0),
        ({"a": 1, "$version": 5, "$metadata": {"x": "y"}}, 9),
    ],
)
def test_the_size_is_counted_as_documented(document: dict[str, Any], size: int) -> None:
    assert document_size(document) == size


@pytest.mark.parametrize(("section", "kib"), [("tags", 8), ("desired", 32), ("reported", 32)])
def test_a_section_is_full_at_its_limit(section: SectionName, kib: int) -> None:
    full = {f"{index:04d}": "x" * 1020 for index in range(kib)}
    validate_section(section, full)
    with pytest.raises(TwinError, match=f"{kib * 1024 + 9} bytes are too many"):
        validate_section(section, {**full, "a": 1})


def test_the_limit_holds_for_the_result_of_a_patch() -> None:
    section = Section({f"{index:04d}": "x" * 1020 for index in range(32)})
    with pytest.raises(TwinError, match="too many"):
        section.patched({"a": 1}, NOW)
    assert section.patched({"a": 1, "0000": None}, NOW).values["a"] == 1


def test_a_new_section_is_empty_at_version_1() -> None:
    assert Section.new("reported", THEN).view() == {"$metadata": {"$lastUpdated": THEN}, "$version": 1}


def test_a_patch_stamps_every_node_on_its_way_and_no_other() -> None:
    section = Section.new("desired", THEN).patched({"a": {"b": 1, "c": [1]}, "d": 1}, THEN)
    changed = section.patched({"a": {"b": 2}}, NOW)
    old, new = (
        {"$lastUpdated": THEN, "$lastUpdatedVersion": 2},
        {"$lastUpdated": NOW, "$lastUpdatedVersion": 3},
    )
    assert changed.metadata == {**new, "a": {**new, "b": new, "c": old}, "d": old}
    assert changed.version == 3


def test_removing_a_key_drops_its_node_and_stamps_its_ancestors() -> None:
    section = Section.new("desired", THEN).patched({"a": {"b": {"c": 1}}}, THEN)
    new = {"$lastUpdated": NOW, "$lastUpdatedVersion": 3}
    assert section.patched({"a": {"b": {"c": None}}}, NOW).metadata == {**new, "a": {**new, "b": new}}


def test_reported_nodes_carry_no_version() -> None:
    section = Section.new("reported", THEN).patched({"a": 1}, NOW)
    assert section.metadata == {"$lastUpdated": NOW, "a": {"$lastUpdated": NOW}}


@given(documents, patches)
def test_the_metadata_tree_mirrors_the_values(document: dict[str, Any], patch: dict[str, Any]) -> None:
    section = Section.new("desired", THEN).patched(document, THEN).patched(patch, NOW)
    assert _shape(section.metadata) == _shape(section.values)


def test_a_patch_that_changes_nothing_still_raises_the_version() -> None:
    section = Section.new("desired", THEN).patched({"a": 1}, THEN)
    assert section.patched({"a": 1}, NOW).version == section.version + 1


def test_metadata_and_version_in_a_patch_are_never_stored() -> None:
    section = Section.new("desired", THEN).patched({"a": 1, "$version": 99, "$metadata": {"a": {}}}, NOW)
    assert section.device_view() == {"a": 1, "$version": 2}


def test_replacing_wipes_what_is_not_in_the_document() -> None:
    section = Section.new("desired", THEN).patched({"a": 1, "b": 2}, THEN).replaced({"b": 3, "c": None}, NOW)
    new = {"$lastUpdated": NOW, "$lastUpdatedVersion": 3}
    assert section.view() == {"b": 3, "$metadata": {**new, "b": new}, "$version": 3}


def test_a_refused_patch_leaves_the_section_as_it_was() -> None:
    section = Section.new("desired", THEN).patched({"a": 1}, THEN)
    before = deepcopy(section)
    with pytest.raises(TwinError):
        section.patched({"b": 1, "k.x": 1}, NOW)
    assert section == before


@pytest.mark.parametrize(("patch", "tags"), [({"b": 2}, {"a": 1, "b": 2}), ({"a": None}, {}), (None, {})])
def test_tags_are_patched(patch: dict[str, Any] | None, tags: dict[str, Any]) -> None:
    assert patch_tags({"a": 1}, patch) == tags


def test_tags_are_replaced_whole() -> None:
    assert replace_tags({"b": {"c": None, "d": 1}}) == {"b": {"d": 1}}


def test_tags_take_no_system_keys() -> None:
    with pytest.raises(TwinError, match=r"tags: key '\$version'"):
        patch_tags({}, {"$version": 1})


def _shape(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return {}
    return {key: _shape(value) for key, value in tree.items() if not key.startswith("$")}


def _leaves(tree: Any) -> Any:
    for value in tree.values():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield value
