"""What the commands on stacks have in common: how they are told which program, which environment and which hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.hubs import TargetHub, find_hub, home_folder
from edgeyard.cli.render import Output
from hub_tools.stacks.opening import OpenedStack, default_program, open_stack

__all__ = [
    "CONFIGURATIONS_MAX",
    "EnvironmentOption",
    "LimitOption",
    "NameOption",
    "OutputOption",
    "ProgramArgument",
    "ProgramOption",
    "hub_of",
    "opened",
]

ProgramArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]", help="The program. Default: stack.py here, else deployments/stack.py.", show_default=False
    ),
]
ProgramOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="The program. Default: stack.py here, else deployments/stack.py.",
        show_default=False,
    ),
]
EnvironmentOption = Annotated[
    str | None,
    typer.Option("--environment", "-e", help="Default: what `stack select` chose, else dev.", show_default=False),
]
NameOption = Annotated[
    str | None,
    typer.Option("--stack", help="Its name. Default: STACK in the program, else its folder's.", show_default=False),
]
LimitOption = Annotated[int, typer.Option(help="Configurations that the hub may hold: 10 on the free tier.", min=1)]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Text or JSON.")]
CONFIGURATIONS_MAX = 100


def opened(file: Path | None, environment: str | None, name: str | None, home: Path | None) -> OpenedStack:
    """The program that a command means, run for its environment."""
    return open_stack(file or default_program(), environment, name=name, home=home_folder(home))


def hub_of(stack: OpenedStack, option: str | None, home: Path | None) -> TargetHub:
    """The hub that `--hub` names, else the one of the environment, else the one that all commands find."""
    return find_hub(option or stack.environment.hub, home=home)
