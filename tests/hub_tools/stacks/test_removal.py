"""Taking a stack down, and going back a version."""

from __future__ import annotations

from typing import Any

import pytest

from hub_tools.manifests import Deployment, Layer, Module
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.history import previous_version, read_version, read_versions
from hub_tools.stacks.removal import destroy
from hub_tools.stacks.state import StateError

ONE = Module(name="sensor", image="acme/sensor:1")
BASE = Deployment(name="base", target="tags.building = 'B1'", priority=10, modules=[ONE])
QUIET = Layer(name="quiet", target="tags.building = 'B1'", priority=20, settings={"sensor": {"interval": 60}})


async def ids(service: RestHubService) -> list[str]:
    return [item["id"] for item in await service.list_configurations()]


async def test_only_what_the_stack_made_goes(applier: Applier, service: RestHubService, watcher: Any) -> None:
    await service.put_configuration("theirs", {**BASE.to_configuration(), "id": "theirs", "priority": 3})
    await applier.up({"base": BASE, "quiet": QUIET})
    watcher.steps.clear()
    assert await destroy(applier) == ("fleet-dev-quiet-1", "fleet-dev-base-1")
    assert watcher.asked[-1] == "delete fleet-dev-quiet-1, fleet-dev-base-1"
    assert await ids(service) == ["theirs"]


async def test_saying_no_leaves_it(applier: Applier, service: RestHubService, watcher: Any) -> None:
    await applier.up({"base": BASE})
    watcher.answer = False
    assert await destroy(applier) is None
    assert await ids(service) == ["fleet-dev-base-1"]


async def test_nothing_to_remove_asks_nothing(applier: Applier, watcher: Any) -> None:
    assert await destroy(applier) == ()
    assert watcher.asked == []


async def test_versions_count_on_after_a_stack_was_taken_down(applier: Applier) -> None:
    await applier.up({"base": BASE})
    await destroy(applier)
    state = applier.open_journal().state
    assert (state.current, state.last) == (None, 1)
    assert previous_version(applier.folder, state).number == 1
    assert (await applier.up({"base": BASE})).version == 2


async def test_an_earlier_version_is_applied_as_a_new_one(applier: Applier, service: RestHubService) -> None:
    await applier.up({"base": BASE})
    await applier.up({"base": BASE, "quiet": QUIET})
    earlier = previous_version(applier.folder, applier.open_journal().state)
    assert earlier.number == 1
    result = await applier.up(earlier.items, note="version 1 again")
    assert result.version == 3
    assert await ids(service) == ["fleet-dev-base-1"]
    versions = read_versions(applier.folder, applier.open_journal().state)
    assert [(version.number, list(version.items), version.note) for version in versions] == [
        (1, ["base"], ""),
        (2, ["base", "quiet"], ""),
        (3, ["base"], "version 1 again"),
    ]
    assert versions[-1].by == "ann@desk"


def test_a_version_that_never_was_is_told(applier: Applier) -> None:
    with pytest.raises(StateError, match="there is no version 7"):
        read_version(applier.folder, 7)


def test_a_damaged_version_is_told(applier: Applier) -> None:
    applier.folder.history.mkdir()
    (applier.folder.history / "0001.json").write_text("{")
    with pytest.raises(StateError, match=r"0001\.json cannot be read"):
        read_version(applier.folder, 1)
