"""docs/commands.md, generated: `python -m edgeyard.cli.reference > docs/commands.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

__all__ = ["render_reference"]

_INTRODUCTION = """\
# Commands

This page is generated from the commands by `python -m edgeyard.cli.reference > docs/commands.md`; a test fails when it is stale.
Every command has `--help`.

| command | does |
|---|---|
"""

_COMPARISON = """
## The command you may know

| you type | here it is |
|---|---|
| `iotedge list` | `edgeyard edge list` |
| `iotedge logs MODULE --tail 20 -f` | `edgeyard edge logs MODULE --tail 20 -f` |
| `iotedge restart MODULE` | `edgeyard edge restart MODULE` |
| `iotedgedev start`, `iotedgehubdev start` | `edgeyard edge run DEVICE` |
| `iotedgedev solution add NAME` | `edgeyard new module NAME` |
| `az iot edge set-modules -d DEVICE -k FILE` | `edgeyard edge set-modules --device DEVICE FILE` |
| `az iot hub device-identity create -d DEVICE --ee` | `edgeyard devices create DEVICE --edge` |
| `az iot hub device-identity connection-string show -d DEVICE` | `edgeyard devices connection-string DEVICE` |
| `az iot hub device-identity show -d DEVICE` | `edgeyard devices show DEVICE` |
| `az iot hub query -q QUERY` | `edgeyard query QUERY` |
| `az iot hub device-twin show -d DEVICE` | `edgeyard twin show DEVICE` |
| `az iot hub device-twin update -d DEVICE --desired …` | `edgeyard twin set DEVICE --desired NAME=VALUE` |
| `az iot hub invoke-device-method -d DEVICE --mn METHOD` | `edgeyard methods call DEVICE METHOD` |
| `az iot hub job create --job-type scheduleUpdateTwin -q WHERE …` | `edgeyard job run --where WHERE --desired NAME=VALUE` |
| `az iot device c2d-message send -d DEVICE --data BODY` | `edgeyard c2d send DEVICE BODY` |
| `az iot hub monitor-events` | `edgeyard monitor` |
| `az iot dps enrollment create` | `edgeyard dps enroll REGISTRATION_ID` |
| `az iot dps enrollment-group create` | `edgeyard dps group GROUP_ID` |
"""


def render_reference() -> str:
    """The page: one row a command, in the order of the help."""
    from edgeyard.cli.main import app

    rows = "".join(f"| `{name}` | {text} |\n" for name, text in _commands(typer.main.get_command(app), "edgeyard"))
    return _INTRODUCTION + rows + _COMPARISON


def _commands(command: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(command, TyperGroup):
        for child, item in command.commands.items():
            yield from _commands(item, f"{name} {child}")
        return
    arguments = " ".join(str(p.metavar or p.name).upper() for p in command.params if isinstance(p, TyperArgument))
    first = (command.help or "").strip().partition("\n\n")[0].replace("\n", " ")
    yield f"{name} {arguments}".strip(), first


if __name__ == "__main__":
    print(render_reference(), end="")
