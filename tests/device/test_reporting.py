"""Reported properties: only differences are sent."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from device.reporting import ReportedState, difference
from iot_core.twin import merge_patch

LEAVES = st.one_of(
    st.booleans(), st.integers(0, 2), st.sampled_from(["", "a"]), st.lists(st.integers(0, 1), max_size=2)
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(LEAVES, inner), max_size=3),
    max_leaves=8,
)


@given(OBJECTS, OBJECTS)
def test_the_difference_leads_from_one_document_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge_patch(old, difference(old, new)) == new
    assert difference(new, new) == {}


def test_what_the_hub_holds_is_not_sent_again() -> None:
    state = ReportedState()
    state.hub_holds({"battery": 80, "$version": 7})
    state.want({"battery": 80, "memory": 12})
    assert state.pending() == {"memory": 12}


def test_what_is_acknowledged_is_not_sent_again() -> None:
    state = ReportedState()
    state.want({"battery": 80})
    state.sent(state.pending())
    state.want({"battery": 80})
    assert state.pending() == {}


def test_a_change_while_a_patch_is_under_way_is_not_lost() -> None:
    state = ReportedState()
    state.want({"battery": 80})
    under_way = state.pending()
    state.want({"battery": 79})
    state.sent(under_way)
    assert state.pending() == {"battery": 79}


def test_none_deletes_a_property_that_the_hub_holds() -> None:
    state = ReportedState()
    state.hub_holds({"error": "hot"})
    state.want({"error": None, "other": None})
    assert state.pending() == {"error": None}


def test_properties_of_others_are_left_alone() -> None:
    state = ReportedState()
    state.hub_holds({"theirs": 1})
    state.want({"ours": 2})
    assert state.pending() == {"ours": 2}


def test_true_is_not_one() -> None:
    assert difference({"a": 1}, {"a": True}) == {"a": True}


def test_a_member_that_is_none_is_as_good_as_absent_and_not_sent_for_ever() -> None:
    state = ReportedState()
    state.want({"actions": {"page": {"key": None, "url": "x"}}})
    patch = state.pending()
    assert patch == {"actions": {"page": {"url": "x"}}}
    state.sent(patch)
    assert state.pending() == {}
    state.want({"actions": {"page": {"key": None}}})
    assert state.pending() == {"actions": {"page": {"url": None}}}
