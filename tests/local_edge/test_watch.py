"""`edgeyard watch` on a real edge: a saved file is a new process of its module within two seconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edgeyard.watching import folders_of, watch_modules
from hub_tools.rest import RestHubService
from local_edge import EdgeConfig, LocalEdge

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
WITHIN_S = 2.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder of modules."""
    for name in ("quiet_one", "common"):
        (tmp_path / "modules" / name).mkdir(parents=True)
    (tmp_path / "modules" / "quiet_one" / "main.py").write_text("x = 1\n")
    return tmp_path / "modules"


def test_a_modules_code_is_found_by_its_id_or_its_image(folder: Path) -> None:
    own = [folder / "quiet_one", folder / "common"]
    assert folders_of("quiet-one", "acme/other:1", folder) == own
    assert folders_of("m", "acme.example:5000/team/quiet_one:1.0-amd64", folder) == own
    assert folders_of("m", "acme/other:1", folder) == []


async def test_a_saved_change_is_a_new_process_within_two_seconds(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    wait: Wait,
    module_pid: Callable[[str], int | None],
    folder: Path,
) -> None:
    entry = {"settings": {"image": "test/quiet:1"}}
    await service.apply_configuration_content(device_id, deployment({"one": entry, "two": entry}, {}))
    await wait(lambda: module_pid("one") and module_pid("two"))
    first, other = module_pid("one"), module_pid("two")
    told: list[str] = []
    looked, stop = threading.Event(), threading.Event()

    def stopped() -> bool:
        looked.set()  # asked for the first time once the files have been looked at
        return stop.is_set()

    watching = asyncio.create_task(
        asyncio.to_thread(
            watch_modules,
            config.home,
            {"one": [folder / "quiet_one"], "two": [folder / "common"]},
            on_restart=lambda name, file, seconds: told.append(f"{name} {file.name}"),
            stopped=stopped,
        )
    )
    await wait(looked.is_set)
    saved = time.monotonic()
    (folder / "quiet_one" / "main.py").write_text("x = 22\n")
    await wait(lambda: module_pid("one") not in (None, first))
    taken = time.monotonic() - saved
    await wait(lambda: told)
    stop.set()
    await watching
    assert taken < WITHIN_S
    assert told == ["one main.py"]
    assert module_pid("two") == other
