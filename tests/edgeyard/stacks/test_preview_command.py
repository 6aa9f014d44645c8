"""`edgeyard preview` and `edgeyard stack select | output | graph` on a hub in its own process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeyard.cli.exits import DONE, UNEXPECTED_CHANGES, WRONG_USE
from edgeyard.cli.hubs import run_async
from edgeyard.cli.main import run
from edgeyard.cli.stack_render import print_preview
from hub_tools.stacks.preview import Preview
from iot_core.identity import Identity
from tests.hub_tools.conftest import RunningHub, hub
from tests.hub_tools.stacks.conftest import passing_time, rows_are

__all__ = ["hub", "passing_time"]

PROGRAM = """
from hub_tools.manifests import Module, Route, upstream

STACK = "fleet"

def program(stack):
    sensor = Module(name="sensor", image="acme/sensor:1", env={"KEY": stack.secret("KEY")}, desired={"interval": 10})
    up = Route("up", sensor.output("*") >> upstream)
    stack.deployment("base", target=stack.settings["target"], priority=10, modules=[sensor], routes=[up])
    stack.layer("quiet", target="tags.quiet = true", priority=20, settings={"sensor": {"interval": 60}})
    stack.output("target", stack.settings["target"])
    stack.output("limits", {"high": 30})
"""
ENVIRONMENTS = """
[dev]
settings = { target = "tags.building = 'B1'" }
[wide]
settings = { target = "*" }
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edgeyard(hub: RunningHub, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> Iterator[Command]:
    """Runs a command beside the program; the hub has three edge devices, two of them in B1, one of those quiet."""
    monkeypatch.setenv("IOTHUB_CONNECTION_STRING", str(hub.owner))
    monkeypatch.setenv("SSL_CERT_FILE", str(hub.files.bundle))
    monkeypatch.setenv("EDGEYARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KEY", "s3cret")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("stack.py").write_text(PROGRAM)
    Path("environments.toml").write_text(ENVIRONMENTS)
    run_async(_devices(hub))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        captured = capsys.readouterr()
        assert "s3cret" not in f"{captured.out}{captured.err}"
        return code, captured.out, captured.err

    yield call
    run_async(_clear(hub))


async def _devices(hub: RunningHub) -> None:
    async with hub.service() as service:
        for number, tags in enumerate(({"building": "B1"}, {"building": "B1", "quiet": True}, {"building": "B2"})):
            await service.create_device(f"edge-{number}", edge=True)
            await service.patch_twin(Identity(f"edge-{number}"), {"tags": tags})
        await rows_are(service, "SELECT deviceId FROM devices WHERE is_defined(tags.building)", 3)
        await rows_are(service, "SELECT deviceId FROM devices.modules WHERE moduleId = '$edgeAgent'", 3)


async def _clear(hub: RunningHub) -> None:
    async with hub.service() as service:
        for number in range(3):
            await service.delete_device(f"edge-{number}")
        for item in await service.list_configurations():
            await service.delete_configuration(item["id"])
        await rows_are(service, "SELECT deviceId FROM devices", 0)


def test_a_preview_shows_configurations_and_what_each_class_of_devices_sees(edgeyard: Command) -> None:
    code, out, err = edgeyard("preview")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == DONE
    assert "+ create base fleet-dev-base-1 (not in the hub; targets 2 devices)" in lines
    assert "1 device edge-0 nothing → fleet-dev-base-1" in lines
    assert "1 device edge-1 nothing → fleet-dev-base-1, fleet-dev-quiet-1" in lines
    assert "+ module sensor added" in lines
    assert "+ route up: FROM /messages/modules/sensor/outputs/* INTO $upstream" in lines
    assert "+ twin sensor.interval: 60" in lines
    assert "1 device sees no change" in lines
    assert lines[-1] == "2 configurations change, 2 of 3 devices"
    assert "3 devices fetched in" in err


def test_what_was_applied_is_no_change(edgeyard: Command) -> None:
    assert edgeyard("preview", "--expect-no-changes")[0] == UNEXPECTED_CHANGES
    assert edgeyard("up", "--yes")[0] == DONE
    code, out, _ = edgeyard("preview", "--expect-no-changes")
    assert code == DONE
    assert "Nothing to do: the hub has what the program says" in out


def test_a_plan_is_applied_as_it_was_shown_or_not_at_all(edgeyard: Command) -> None:
    assert edgeyard("preview", "--out", "plan.json")[0] == DONE
    assert "s3cret" not in Path("plan.json").read_text()
    Path("stack.py").write_text(PROGRAM.replace("sensor:1", "sensor:2"))
    code, _, err = edgeyard("up", "--plan", "plan.json")
    assert (code, "make a new one" in err) == (WRONG_USE, True)
    Path("stack.py").write_text(PROGRAM)
    assert edgeyard("up", "--plan", "plan.json")[0] == DONE


def test_json_holds_the_whole_preview_and_its_times(edgeyard: Command) -> None:
    found = json.loads(edgeyard("preview", "-o", "json")[1])
    assert [change["action"] for change in found["changes"]] == ["create", "create"]
    assert found["changedDevices"] == 2
    assert {"fetchSeconds", "computeSeconds"} <= found.keys()


def test_errors_are_shown_with_rule_place_and_fix(edgeyard: Command) -> None:
    Path("stack.py").write_text(PROGRAM.replace("priority=20", "priority=11"))
    code, out, _ = edgeyard("preview")
    assert code == WRONG_USE
    for text in ("S01", "quiet.priority", "11 is in the band 10 to 11 of base", "Give it 12 or more"):
        assert text in out
    assert "It cannot be applied: 1 error" in out


def test_the_limit_of_the_hub_counts(edgeyard: Command) -> None:
    code, out, _ = edgeyard("preview", "--limit", "2")
    assert (code, "S03" in out) == (WRONG_USE, True)


def test_the_selected_environment_holds_for_the_commands_that_follow(edgeyard: Command) -> None:
    assert edgeyard("stack", "output", "target")[1] == "tags.building = 'B1'\n"
    assert edgeyard("stack", "select", "wide")[1] == "commands on the stack fleet mean wide now\n"
    assert edgeyard("stack", "output", "target")[1] == "*\n"
    assert "fleet · wide on" in edgeyard("preview")[1]
    assert json.loads(edgeyard("stack", "output", "-o", "json")[1]) == {"target": "*", "limits": {"high": 30}}
    code, _, err = edgeyard("stack", "output", "nothing")
    assert (code, "there are: target, limits" in err) == (WRONG_USE, True)


def test_the_graph_is_mermaid_or_a_picture_with_counts(edgeyard: Command) -> None:
    assert edgeyard("stack", "graph")[1].startswith("flowchart LR\n")
    assert edgeyard("stack", "graph", "--out", "fleet.svg", "--count")[0] == DONE
    picture = Path("fleet.svg").read_text()
    assert picture.startswith("<svg ")
    assert "2 devices" in picture


def test_a_program_that_fails_is_named_by_file_and_line(edgeyard: Command) -> None:
    Path("stack.py").write_text("def program(stack):\n    return 1 / 0\n")
    code, _, err = edgeyard("preview")
    assert code == WRONG_USE
    assert "stack.py:2: ZeroDivisionError" in err


def test_devices_that_see_the_same_change_are_told_together(capsys: Any) -> None:
    twin = {"path": "m.interval", "before": 10, "after": 60}
    difference = {"modules": [], "routes": [], "twins": [twin], "runtime": []}
    classes = [
        {"count": count, "devices": [f"d{count}"], "before": [f"b{count}"], "after": ["a"], "difference": difference}
        for count in (700, 500)
    ]
    head = {"version": 1, "stack": "s", "environment": "dev", "hub": "h", "fingerprint": "f", "devices": 2_000}
    print_preview(Preview.from_json({**head, "targeted": {}, "changes": [], "classes": classes, "findings": []}))
    out = capsys.readouterr().out
    assert "1,200 devices  d700, d500 …  in 2 classes" in out
    assert out.count("m.interval: 10 → 60") == 1
    assert "800 devices see no change" in out
