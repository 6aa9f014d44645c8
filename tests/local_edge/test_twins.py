"""The kept copies of module twins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import local_edge.edgehub
from iot_core.errors import TwinError
from local_edge.difference import difference
from local_edge.edgehub.twins import TwinCopy, TwinStore
from transport.store import Store

SCHEMA = Path(local_edge.edgehub.__file__).with_name("schema_v1.sql")
HUB = {"desired": {"interval": 5, "$version": 4}, "reported": {"state": "old", "$version": 9}}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "edgehub.db", schema=[SCHEMA])
    yield opened
    await opened.close()


def test_a_module_sees_what_it_reported_before_the_hub_does() -> None:
    copy = TwinCopy().refreshed(HUB).reported_patched({"state": "new", "extra": 1})
    assert copy.device_view()["reported"] == {"state": "new", "extra": 1, "$version": 9}
    assert copy.pending == {"state": "new", "extra": 1}


def test_what_is_pending_outlives_a_new_document_of_the_hub() -> None:
    copy = TwinCopy().refreshed(HUB).reported_patched({"state": None})
    again = copy.refreshed({"desired": {"$version": 5}, "reported": {"state": "old", "more": 2, "$version": 10}})
    assert (again.pending, again.reported) == ({"state": None}, {"more": 2})


def test_nothing_is_pending_once_it_was_sent_but_what_came_meanwhile_is() -> None:
    copy = TwinCopy().refreshed(HUB).reported_patched({"state": "a"})
    sent = copy.reported_patched({"other": 1}).sent(copy.reported, version=10)
    assert (sent.pending, sent.reported_version) == ({"other": 1}, 10)


def test_a_bad_reported_patch_is_refused() -> None:
    with pytest.raises(TwinError):
        TwinCopy().reported_patched({"a.b": 1})


async def test_copies_are_there_after_a_restart(store: Store) -> None:
    copy = TwinCopy().refreshed(HUB).reported_patched({"state": "new"})
    await TwinStore(store).put("m", copy)
    assert TwinStore(store).get("m") == copy
    assert TwinStore(store).get("stranger") == TwinCopy()


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 3}}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": True}, {"a": True}),
    ],
)
def test_the_difference_is_the_smallest_merge_patch(old: object, new: object, patch: object) -> None:
    assert difference(old, new) == patch  # type: ignore[arg-type]
