"""`edgeyard up` and `edgeyard stack refresh | rollback | history | import | destroy` on a hub in its own process."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.exits import DONE, FAILED, UNEXPECTED_CHANGES, WRONG_USE
from edgeyard.cli.hubs import run_async
from edgeyard.cli.main import run
from hub_tools.manifests import Deployment, Module
from hub_tools.stacks.lease import Lease, LeaseRules
from hub_tools.stacks.operations import amend
from iot_core.identity import Identity
from tests.hub_tools.conftest import PROJECT, RunningHub, hub
from tests.hub_tools.stacks.conftest import Agent, agent_key, passing_time, rows_are

__all__ = ["hub", "passing_time"]

AGENTS = "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent'"
CONNECTED = f"{AGENTS} AND connectionState = 'Connected'"
PROGRAM = """
from hub_tools.manifests import Module

STACK = "fleet"

def program(stack):
    sensor = Module(name="sensor", image="acme/sensor:1", env={"KEY": stack.secret("SENSOR_KEY")})
    stack.deployment("base", target="*", priority=10, modules=[sensor])
"""


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture
def edgeyard(hub: RunningHub, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> Iterator[Command]:
    """Runs a command in a folder with a program; there is one edge device, which was never seen."""
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", str(hub.owner))
    monkeypatch.setenv("SSL_CERT_FILE", str(hub.files.bundle))
    monkeypatch.setenv("SENSOR_KEY", "s3cret-value")
    monkeypatch.setenv("EDGEYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("stack.py").write_text(PROGRAM)

    def call(*arguments: str) -> Result:
        code = run(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    async def clear() -> None:
        async with hub.service() as service:
            await service.delete_device("edge-1")
            for item in await service.list_configurations():
                await service.delete_configuration(item["id"])
            await rows_are(service, "SELECT deviceId FROM devices", 0)

    async def known() -> None:
        async with hub.service() as service:
            await rows_are(service, AGENTS)

    assert call("devices", "create", "edge-1", "--edge").code == DONE
    run_async(known())
    yield call
    run_async(clear())


def changed_program() -> None:
    Path("stack.py").write_text(PROGRAM.replace("acme/sensor:1", "acme/sensor:2"))


def no_drift(edgeyard: Command) -> None:
    """Refresh finds nothing, once queries have caught up, which lag on a hub that is like Azure's."""
    while edgeyard("stack", "refresh", "--expect-no-changes").code != DONE:
        pass


def test_the_whole_cycle(edgeyard: Command) -> None:
    first = edgeyard("up")
    assert first.code == DONE
    assert "version 1 is in force; 1 not seen lately follow when they come back" in first.out
    assert "create fleet-dev-base-1" in first.err
    assert "Nothing to do" in edgeyard("up").out
    changed_program()
    assert edgeyard("up", "-o", "json").json["version"] == 2
    back = edgeyard("stack", "rollback", "-o", "json")
    assert (back.code, back.json["version"]) == (DONE, 3)
    versions = edgeyard("stack", "history", "-o", "json").json
    assert [(item["version"], item["inForce"], item["note"]) for item in versions] == [
        (1, False, ""),
        (2, False, ""),
        (3, True, "version 1 again"),
    ]
    no_drift(edgeyard)
    assert edgeyard("stack", "destroy", "--yes").out == "removed fleet-dev-base-3\n"
    assert edgeyard("stack", "destroy", "--yes").out == "there was nothing to remove\n"


def test_no_secret_is_printed_or_kept(edgeyard: Command, tmp_path: Path) -> None:
    results = [edgeyard("preview", "--out", "plan.json"), edgeyard("up"), edgeyard("stack", "history", "-o", "json")]
    assert not [result for result in results if "s3cret-value" in result.out + result.err]
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and "s3cret-value" in file.read_text()]
    assert kept == []


def test_a_plan_is_applied_until_the_world_moves(edgeyard: Command) -> None:
    assert edgeyard("preview", "--out", "plan.json").code == DONE
    assert edgeyard("up", "--plan", "plan.json").code == DONE
    stale = edgeyard("up", "--plan", "plan.json")
    assert stale.code == WRONG_USE
    assert "has changed since the plan was made" in stale.err


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ('{"version": 9}', "no plan of version"), (None, "cannot be read")],
)
def test_a_bad_plan_is_told(edgeyard: Command, text: str | None, message: str) -> None:
    if text is not None:
        Path("plan.json").write_text(text)
    result = edgeyard("up", "--plan", "plan.json")
    assert (result.code, message in result.err) == (WRONG_USE, True)


def test_a_plan_of_another_environment_is_refused(edgeyard: Command) -> None:
    Path("environments.toml").write_text("[dev]\n[prod]\n")
    edgeyard("preview", "--out", "plan.json")
    result = edgeyard("up", "--plan", "plan.json", "-e", "prod")
    assert result.code == WRONG_USE
    assert "is for fleet/dev on" in result.err


def test_drift_is_told_and_an_exit_code_when_none_was_expected(edgeyard: Command, hub: RunningHub) -> None:
    edgeyard("up")
    no_drift(edgeyard)

    async def change() -> None:
        async with hub.service() as service:
            await amend(service, "fleet-dev-base-1", {"priority": 11})

    run_async(change())
    result = edgeyard("stack", "refresh", "--expect-no-changes")
    assert result.code == UNEXPECTED_CHANGES
    assert result.out == "fleet-dev-base-1  priority: 10 → 11\n"
    assert edgeyard("stack", "refresh", "-o", "json").json["configurations"] == [
        {"id": "fleet-dev-base-1", "what": "priority", "applied": 10, "found": 11}
    ]


def test_refresh_of_what_was_never_applied_is_told(edgeyard: Command) -> None:
    result = edgeyard("stack", "refresh")
    assert (result.code, "nothing of fleet/dev is applied" in result.err) == (WRONG_USE, True)


def test_without_the_local_state_refresh_compares_with_the_program(edgeyard: Command, tmp_path: Path) -> None:
    edgeyard("up")
    (tmp_path / "home/stacks/fleet/dev/state.json").unlink()
    no_drift(edgeyard)
    changed_program()
    result = edgeyard("stack", "refresh", "--expect-no-changes")
    assert result.code == UNEXPECTED_CHANGES
    assert "fleet-dev-base-1  content\n" in result.out


def test_a_version_that_never_was_cannot_come_back(edgeyard: Command) -> None:
    result = edgeyard("stack", "rollback", "7")
    assert (result.code, "there is no version 7" in result.err) == (WRONG_USE, True)


def test_destroy_asks(edgeyard: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    edgeyard("up")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    result = edgeyard("stack", "destroy", "--stack", "fleet")
    assert result.code == WRONG_USE
    assert "this would delete fleet-dev-base-1 on" in result.err
    assert "give --yes" in result.err


def test_an_import_prints_the_program_that_previews_no_change(edgeyard: Command, hub: RunningHub) -> None:
    factory = Deployment(name="factory-base", target="*", priority=10, modules=[Module(name="a", image="acme/a:1")])

    async def make() -> None:
        async with hub.service() as service:
            await service.put_configuration(factory.name, factory.to_configuration())

    run_async(make())
    Path("stack.py").unlink()
    imported = edgeyard("stack", "import", "factory-base", "--stack", "fleet")
    assert imported.code == DONE
    assert "factory-base is 'factory_base' of fleet/dev now" in imported.err
    Path("stack.py").write_text(imported.out)
    assert not edgeyard("preview", "--stack", "fleet", "--expect-no-changes").code
    again = edgeyard("stack", "import", "factory-base", "--stack", "fleet")
    assert (again.code, "of the stack fleet already" in again.err) == (WRONG_USE, True)


def test_a_second_operator_gets_one_line(edgeyard: Command, hub: RunningHub) -> None:
    async def take() -> None:
        async with hub.service() as service:
            await Lease(service, "fleet", "dev", "token", "bob@laptop", LeaseRules()).acquire()

    run_async(take())
    result = edgeyard("up")
    assert result.code == FAILED
    assert result.err.count("error:") == 1
    assert "bob@laptop is changing fleet/dev and holds its lease until" in result.err


def test_ctrl_c_leaves_the_old_in_force(edgeyard: Command, hub: RunningHub) -> None:
    edgeyard("up")
    changed_program()

    async def interrupted() -> tuple[int, str, list[str]]:
        async with hub.service() as service:
            silent = Agent(Identity("edge-1", "$edgeAgent"), lambda desired: (0, ""))
            await silent.connect(hub, await agent_key(service, "edge-1"))
            await rows_are(service, CONNECTED)
            process = start("up")
            line = ""
            while "wait for devices" not in line:
                assert process.stderr is not None
                line = process.stderr.readline()
                assert line, "it ended before it waited"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
            await silent.close()
            return process.returncode, err, [item["id"] for item in await service.list_configurations()]

    code, err, left = run_async(interrupted())
    assert code == FAILED
    assert "error: stopped: what was new is taken back, the old deployments are in force" in err
    assert "Traceback" not in err
    assert left == ["fleet-dev-base-1"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeyard", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_failure_names_each_device(edgeyard: Command, hub: RunningHub) -> None:
    edgeyard("up")
    changed_program()

    async def failing(work: Callable[[], Result]) -> Result:
        async with hub.service() as service:
            agent = Agent(Identity("edge-1", "$edgeAgent"), lambda desired: (400, "no such image"))
            await agent.connect(hub, await agent_key(service, "edge-1"))
            await rows_are(service, CONNECTED)
            try:
                return await asyncio.to_thread(work)
            finally:
                await agent.close()

    result = run_async(failing(lambda: edgeyard("up", "--timeout", "20s")))
    assert result.code == FAILED
    assert "edge-1  failed  no such image (status 400)" in result.out
