"""Jobs, rollouts and undos that are killed at every step, on a hub process: no device is repeated or left out."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub_tools.jobs.population import count
from local_hub.home import HubHome
from tests.hub_tools.conftest import PROJECT, RunningHub, hub

__all__ = ["hub"]

DEVICES = ("k1", "k2")
WITHIN_S = 55.0


@pytest.fixture
def home(hub: RunningHub, tmp_path: Path) -> Path:
    """A data folder that knows how to trust the hub; two devices are there, and queries know it."""
    HubHome(tmp_path).create()
    shutil.copy(hub.files.authority, HubHome(tmp_path).authority)
    asyncio.run(create(hub))
    return tmp_path


async def create(hub: RunningHub) -> None:
    items = [{"id": name, "importMode": "createOrUpdate", "tags": {"fleet": "killed"}} for name in DEVICES]
    async with hub.service() as service:
        await service.change_devices(items)
        while await count(service, "tags.fleet = 'killed'") < len(DEVICES):
            await asyncio.sleep(0.1)


def attempts(kind: str, hub: RunningHub, home: Path) -> list[dict[str, Any]]:
    """What the killed commands and those after them did, one line a step."""
    command = [sys.executable, "-m", "tests.edgeyard.killed_jobs", kind, str(hub.owner), str(home), *DEVICES]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("kind", "steps"), [("run", 1 + len(DEVICES)), ("bulk", 2), ("rollout", 6 + len(DEVICES))])
def test_after_a_kill_at_any_step_each_device_is_written_to_once(
    kind: str, steps: int, hub: RunningHub, home: Path
) -> None:
    made = attempts(kind, hub, home)
    assert [attempt["killed"] for attempt in made] == [True] * (len(made) - 1) + [False]
    assert len(made) > steps, "the journal and each device was a step"
    begun = [attempt for attempt in made if attempt["after"] != attempt["before"]]
    assert len(made) - len(begun) <= 2, "only a job that was killed before its journal was there leaves no trace"
    for attempt in begun:
        assert attempt["after"] == [[attempt["step"], version + 1] for _, version in attempt["before"]], attempt


def test_after_a_kill_at_any_step_of_the_tagging_each_device_is_tagged_and_written_to_once(
    hub: RunningHub, home: Path
) -> None:
    made = attempts("tagged", hub, home)
    assert all(attempt["killed"] for attempt in made)
    begun = [attempt for attempt in made if attempt["after"] != attempt["before"]]
    assert len(made) - len(begun) <= 2 < len(begun), "the journals and the tags were steps"
    for attempt in begun:
        assert attempt["code"] == 0, attempt
        assert attempt["after"] == [[attempt["step"], version + 2] for _, version in attempt["before"]], attempt


def test_after_a_kill_at_any_step_of_an_undo_each_device_has_its_own_value_back(hub: RunningHub, home: Path) -> None:
    made = attempts("undo", hub, home)
    assert [attempt["killed"] for attempt in made] == [True] * (len(made) - 1) + [False]
    assert len(made) > 2
    for attempt in made:
        restored = [[rate, version + 2] for rate, version in attempt["before"]]
        assert (attempt["code"], attempt["after"]) == (0, restored), attempt
