"""A stack's program opened for one environment: which file, which name, what it declares and needs to be applied.

The name of a stack is what the program says as STACK, else that of the folder that the program is in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hub_tools.stacks.environments import DEFAULT, FILE, Environment, read_environments
from hub_tools.stacks.policies import default_checks
from hub_tools.stacks.preview import Check
from hub_tools.stacks.program import Program, Stack, check_name, load_program, run_program
from hub_tools.stacks.secrets import SecretValues, value_of
from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["PLACES", "OpenedStack", "default_program", "open_stack", "select_environment", "selected_environment"]

PLACES = (Path("stack.py"), Path("deployments/stack.py"))
"""Where a program is looked for, in this order."""
NAME_CONSTANT = "STACK"
SELECTED = "selected"


@dataclass(frozen=True, kw_only=True)
class OpenedStack:
    """What a program declares for an environment."""

    file: Path
    environment: Environment
    stack: Stack

    @property
    def name(self) -> str:
        return self.stack.name

    @property
    def conditions(self) -> list[str]:
        """The target conditions of its deployments and layers."""
        return [item.condition for item in self.stack.items.values()]

    @property
    def checks(self) -> Sequence[Check]:
        """What is checked of each class of devices: the rules of manifests and the stack's policies."""
        return default_checks(self.stack.policies)

    def secrets(self) -> SecretValues:
        """The environment's secrets; SecretError when their place cannot be opened."""
        return value_of(self.environment, self.file.parent)


def default_program() -> Path:
    """The program of the current folder; InputError when there is none."""
    for place in PLACES:
        if place.is_file():
            return place
    raise InputError(f"there is no {' and no '.join(map(str, PLACES))} here: name the stack's program")


def open_stack(file: Path, environment: str | None = None, *, name: str | None = None, home: Path) -> OpenedStack:
    """Run a program for an environment, by default the one that was selected last, else `dev`.

    `name` is used in place of the stack's own. Raises ProgramError and InputError.
    """
    program = load_program(file)
    called = name or _name(program, file)
    check_name(called, "stack")
    chosen = _environment(file.parent, environment or selected_environment(home, called))
    return OpenedStack(file=file, environment=chosen, stack=run_program(program, Stack(called, chosen), file))


def selected_environment(home: Path, stack: str) -> str:
    """The environment that commands mean when they name none."""
    file = _selection(home, stack)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else DEFAULT


def select_environment(file: Path, environment: str, *, name: str | None = None, home: Path) -> str:
    """Have commands on a stack mean this environment from now on; the stack's name. InputError when there is none."""
    called = name or _name(load_program(file), file)
    check_name(called, "stack")
    chosen = _environment(file.parent, environment)
    selection = _selection(home, called)
    selection.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(selection, f"{chosen.name}\n".encode())
    return called


def _selection(home: Path, stack: str) -> Path:
    return home / "stacks" / stack / SELECTED


def _environment(folder: Path, name: str) -> Environment:
    environments = read_environments(folder)
    if name not in environments:
        raise InputError(f"there is no environment {name!r} in {folder / FILE}; there are: {', '.join(environments)}")
    return environments[name]


def _name(program: Program, file: Path) -> str:
    said = getattr(program, "__globals__", {}).get(NAME_CONSTANT)
    if isinstance(said, str):
        return said
    return re.sub(r"[^a-z0-9]+", "_", file.resolve().parent.name.lower()).strip("_")
