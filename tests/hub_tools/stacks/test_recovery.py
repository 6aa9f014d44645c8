"""An `up` that is killed in the middle is finished or taken back by the next, from the state or from labels alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub_tools.manifests import Deployment, Layer, Module
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.lease import EXPIRES
from hub_tools.stacks.ownership import is_lease
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.waiting import WaitRules

ONE = Module(name="sensor", image="acme/sensor:1")
BASE = Deployment(name="base", target="tags.building = 'B1'", priority=10, modules=[ONE])
QUIET = Layer(name="quiet", target="tags.building = 'B1'", priority=20, settings={"sensor": {"interval": 60}})
LOUD = Layer(name="loud", target="tags.building = 'B1'", priority=30, settings={"sensor": {"volume": 9}})

FIRST = {"base": BASE, "quiet": QUIET, "loud": LOUD}
"""Then a new base, another target for one layer, the other gone, and a third that is new."""
SECOND = {
    "base": replace(BASE, modules=[replace(ONE, image="acme/sensor:2")]),
    "quiet": replace(QUIET, target="tags.building IN ['B1', 'B2']"),
    "extra": replace(LOUD, name="extra", priority=40, settings={"sensor": {"extra": 1}}),
}
STEPS = [
    "change fleet-dev-quiet-1",
    "create fleet-dev-extra-1",
    "create fleet-dev-base-2",
    "wait for devices",
    "remove what is replaced",
    "delete fleet-dev-loud-1",
    "delete fleet-dev-base-1",
    "settle fleet-dev-base-2",
    "settle fleet-dev-quiet-1",
    "settle fleet-dev-extra-1",
]
COMMIT = STEPS.index("remove what is replaced")
SETTLED = {"fleet-dev-base-2": 10, "fleet-dev-quiet-1": 20, "fleet-dev-extra-1": 40}


class Killer:
    """A watcher that kills its process with SIGKILL at a step, after the step is in the state and before it is done."""

    def __init__(self, at: str | None = None) -> None:
        self.at = at
        self.steps: list[str] = []
        self.notes: list[str] = []

    def previewed(self, preview: Any) -> None:
        pass

    async def agrees(self, question: str) -> bool:
        return True

    def step(self, text: str) -> None:
        self.steps.append(text)
        if text == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def waits(self, report: Any) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


class Yard:
    """A stack's folder and a hub, used by one process after another."""

    def __init__(self, hub: Any, home: Path, runner: asyncio.Runner) -> None:
        self._hub, self.home, self._runner = hub, home, runner
        self._service: RestHubService = hub.service()

    def up(self, items: Any, watcher: Killer) -> Killer:
        self.call(lambda service, folder: self._applier(service, folder, watcher).up(items))
        return watcher

    def killed_up(self, items: Any, at: str) -> None:
        child = os.fork()
        if child == 0:
            self._runner, self._service = asyncio.Runner(), self._hub.service()
            self.up(items, Killer(at))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{at} was never reached"
        assert os.WTERMSIG(status) == signal.SIGKILL

    def held(self) -> dict[str, int]:
        found = self.configurations()
        return {item["id"]: item["priority"] for item in found if not is_lease(item)}

    def configurations(self) -> list[Any]:
        listing: list[Any] = self.call(lambda service, folder: service.list_configurations())
        return listing

    def call(self, what: Callable[[RestHubService, StackFolder], Any]) -> Any:
        async def work() -> Any:
            with StackFolder(self.home, "fleet", "dev") as folder:
                return await what(self._service, folder)

        return self._runner.run(work())

    def close(self) -> None:
        self._runner.run(self._service.close())

    def _applier(self, service: RestHubService, folder: StackFolder, watcher: Killer) -> Applier:
        return Applier(
            service=service,
            folder=folder,
            stack="fleet",
            environment="dev",
            value_of=dict[str, str]().__getitem__,
            watcher=watcher,
            wait=WaitRules(timeout_s=20, poll_s=0.02),
            holder="ann@desk",
        )

    def end_lease(self) -> None:
        """As if its time had run out."""

        async def work(service: RestHubService, folder: StackFolder) -> None:
            for item in await service.list_configurations():
                if is_lease(item):
                    labels = {**item["labels"], EXPIRES: "2020-01-01T00:00:00Z"}
                    await service.put_configuration(item["id"], {**item, "labels": labels}, etag="*")

        self.call(work)

    def clear(self) -> None:
        async def work(service: RestHubService, folder: StackFolder) -> None:
            for item in await service.list_configurations():
                await service.delete_configuration(item["id"])
            await service.delete_device("e1")

        self.call(work)


@pytest.fixture
def yard(hub: Any, tmp_path: Path) -> Iterator[Yard]:
    """With the first version in force; the one edge device is not connected, so nobody is waited for."""
    with asyncio.Runner() as runner:
        yard = Yard(hub, tmp_path, runner)
        yard.call(lambda service, folder: service.create_device("e1", edge=True))
        yard.up(FIRST, Killer())
        yield yard
        yard.clear()
        yard.close()


def test_the_steps_of_the_second_version_are_these(yard: Yard) -> None:
    assert yard.up(SECOND, Killer()).steps == STEPS
    assert yard.held() == SETTLED


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_next_up_brings_it_to_its_end(yard: Yard, step: str) -> None:
    yard.killed_up(SECOND, step)
    after = yard.up(SECOND, Killer())
    finished = STEPS.index(step) >= COMMIT
    assert after.notes[0].startswith(
        "an interrupted change was finished" if finished else "an interrupted change was taken back"
    )
    assert yard.held() == SETTLED
    assert not [item for item in yard.configurations() if "edgeyard-trial" in item["labels"]]


@pytest.mark.parametrize("step", STEPS[1:COMMIT:2])
def test_killed_before_the_old_ones_go_it_can_be_taken_back_whole(yard: Yard, step: str) -> None:
    before = {item["id"]: (item["targetCondition"], item["labels"]) for item in yard.configurations()}
    yard.killed_up(SECOND, step)
    yard.up(FIRST, Killer())
    after = {item["id"]: (item["targetCondition"], item["labels"]) for item in yard.configurations()}
    assert after == before


@pytest.mark.parametrize("step", STEPS[1::2])
def test_another_machine_finds_its_way_by_labels(yard: Yard, step: str) -> None:
    yard.killed_up(SECOND, step)
    shutil.rmtree(yard.home / "stacks")
    yard.end_lease()
    yard.up(SECOND, Killer())
    assert yard.held() == SETTLED
    assert not [item for item in yard.configurations() if "edgeyard-trial" in item["labels"]]


def test_what_another_operator_has_taken_back_is_not_finished(yard: Yard) -> None:
    yard.killed_up(SECOND, "remove what is replaced")
    mine, yard.home = yard.home, yard.home / "theirs"
    yard.end_lease()
    yard.up(FIRST, Killer())
    assert yard.held() == {"fleet-dev-base-1": 10, "fleet-dev-quiet-1": 20, "fleet-dev-loud-1": 30}
    yard.home = mine
    after = yard.up(FIRST, Killer())
    assert after.notes == ["an interrupted change was taken back by another operator meanwhile"]
    assert "fleet-dev-base-1" in yard.held()


def test_a_killed_up_holds_its_own_machine_back_by_no_lease(yard: Yard) -> None:
    yard.killed_up(SECOND, "wait for devices")
    (lease,) = [item for item in yard.configurations() if is_lease(item)]
    assert lease["labels"]["edgeyard-holder"] == "ann@desk"
    started = time.monotonic()
    yard.up(SECOND, Killer())
    assert time.monotonic() - started < 30
    assert not [item for item in yard.configurations() if is_lease(item)]
