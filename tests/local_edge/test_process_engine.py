"""Modules as local processes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from iot_core.clock import SystemClock
from local_edge.engines.base import LaunchSpec, ModuleExit
from local_edge.engines.images import ImageTable
from local_edge.engines.module_log import ModuleLog, read_log
from local_edge.engines.process import ProcessEngine
from local_edge.errors import EngineError

RUN = ("{python}", "-c")
TABLE = ImageTable(
    commands={
        "environment": (*RUN, "import os, sys; print(sorted(os.environ), sys.argv[1:])"),
        "fails": (*RUN, "raise SystemExit(3)"),
        "stubborn": (
            *RUN,
            "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
        ),
        "parent": (
            *RUN,
            "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
            "print('child', p.pid, flush=True)",
        ),
        "missing": ("/no/such/program",),
    }
)


class Exits:
    """Collects exits and lets a test wait for the first."""

    def __init__(self) -> None:
        self.first: asyncio.Future[ModuleExit] = asyncio.get_running_loop().create_future()

    def __call__(self, end: ModuleExit) -> None:
        if not self.first.done():
            self.first.set_result(end)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ProcessEngine]:
    made = ProcessEngine(TABLE, home=tmp_path, host="127.0.0.2", clock=SystemClock(), stop_patience_s=0.2)
    yield made
    await made.close()


async def run_to_end(engine: ProcessEngine, image: str, **more: object) -> ModuleExit:
    exits = Exits()
    engine.on_exit = exits
    await engine.start(LaunchSpec(name="m", image=image, **more))  # type: ignore[arg-type]
    return await asyncio.wait_for(exits.first, 20)


async def test_a_module_sees_its_own_environment_and_nothing_secret(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", "HostName=h;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0")
    await run_to_end(engine, "environment", environment={"IOTEDGE_DEVICEID": "d"}, arguments=("Eula=accept",))
    printed = await engine.logs("m")
    assert "'IOTEDGE_DEVICEID'" in printed
    assert "IOTHUB_CONNECTION_STRING" not in printed
    assert printed.endswith("['Eula=accept']\n")


async def test_an_exit_is_told_once_with_its_code(engine: ProcessEngine) -> None:
    end = await run_to_end(engine, "fails")
    assert (end.name, end.exit_code) == ("m", 3)


async def test_a_module_that_ignores_sigterm_is_killed_and_its_stop_is_no_exit(engine: ProcessEngine) -> None:
    exits = Exits()
    engine.on_exit = exits
    await engine.start(LaunchSpec(name="m", image="stubborn"))
    await wait_for(lambda: "up" in read_log(engine.home / "logs" / "m.log"))
    await engine.stop("m")
    assert engine.pid("m") is None
    assert not exits.first.done()


async def test_what_a_module_started_ends_with_it(engine: ProcessEngine) -> None:
    await run_to_end(engine, "parent")
    child = int((await engine.logs("m")).split()[1])
    await wait_for(lambda: not alive(child))


async def test_modules_of_a_killed_edge_are_ended_by_the_next_one(engine: ProcessEngine, tmp_path: Path) -> None:
    await engine.start(LaunchSpec(name="m", image="stubborn"))
    pid = engine.pid("m")
    assert pid is not None
    next_engine = ProcessEngine(TABLE, home=tmp_path, host="127.0.0.2", clock=SystemClock())
    assert next_engine.end_leftovers() == ["m"]
    await wait_for(lambda: not alive(pid))


async def test_a_note_about_a_process_id_used_again_kills_nobody(engine: ProcessEngine, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "old.json").write_text(f'{{"pid": {os.getpid()}, "started": "long ago"}}')
    assert engine.end_leftovers() == []


async def test_what_cannot_be_started_is_said(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="/no/such/program cannot be started"):
        await engine.start(LaunchSpec(name="m", image="missing"))
    with pytest.raises(EngineError, match="no command for image unknown"):
        await engine.start(LaunchSpec(name="m", image="unknown:1"))


def test_a_log_is_bounded_and_read_over_both_files(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "m.log"
    log = ModuleLog(path, max_bytes=100)
    for number in range(50):
        log.write(f"line {number}\n".encode())
    log.close()
    assert sum(file.stat().st_size for file in path.parent.iterdir()) <= 200
    assert read_log(path, 2) == "line 48\nline 49\n"
    assert read_log(path).endswith("line 48\nline 49\n")


def alive(pid: int) -> bool:
    if sys.platform == "linux":
        stat = Path(f"/proc/{pid}/stat")
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    for _ in _ticks(timeout_s):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {timeout_s} s in vain")


def _ticks(timeout_s: float) -> Iterator[float]:
    deadline = time.monotonic() + timeout_s
    while (now := time.monotonic()) < deadline:
        yield now
