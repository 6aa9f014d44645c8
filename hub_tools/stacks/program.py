"""Stack programs: `def program(stack): …` in a Python file.

def program(stack):
    sensor = Module(name="sensor", image="acme/sensor:1.0")
    stack.deployment("base", target="tags.building = 'B1'", priority=10, modules=[sensor],
                     routes=[Route("up", sensor.output("*") >> upstream)])
    stack.output("building", stack.settings["building"])
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hub_tools.manifests import Deployment, Layer, secret
from hub_tools.programs import ProgramError, located, names_in
from hub_tools.stacks.environments import Environment
from hub_tools.stacks.policies import DEFAULT_POLICIES, Level, Policy, PolicyFunction, policy
from iot_core.errors import InputError

__all__ = ["Stack", "load_policies", "load_program", "run_program"]

FUNCTION = "program"
POLICIES = "policies.py"
"""Beside a program, for what all programs of a folder hold to."""
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_]*[a-z0-9])?")
NAME_LENGTH_MAX = 40
"""Stack, environment, item and version together make a configuration's id, of 128 characters at most."""

Program = Callable[["Stack"], None]


class Stack:
    """What a program is given: the names, the settings of the environment, and the place for what it declares."""

    def __init__(self, name: str, environment: Environment) -> None:
        self.name = name
        self.environment = environment.name
        self.settings: Mapping[str, Any] = environment.settings
        self.items: dict[str, Deployment | Layer] = {}
        self.outputs: dict[str, Any] = {}
        self.policies: list[Policy] = []
        """Its own, beside the default ones (see hub_tools.stacks.policies)."""

    def add(self, item: Deployment | Layer) -> None:
        """Declare a deployment or a layer; InputError for a name that is taken or cannot be part of an id."""
        check_name(item.name, "deployment or layer")
        if item.name in self.items:
            raise InputError(f"the stack declares {item.name!r} twice: give one of them another name")
        self.items[item.name] = item

    def deployment(self, name: str, **fields: Any) -> Deployment:
        """Declare a base deployment with the fields of `Deployment`, and give it back."""
        item = Deployment(name=name, **fields)
        self.add(item)
        return item

    def layer(self, name: str, **fields: Any) -> Layer:
        """Declare a layer with the fields of `Layer`, and give it back."""
        item = Layer(name=name, **fields)
        self.add(item)
        return item

    def secret(self, name: str) -> str:
        """A reference to a secret of the environment: text, to be used wherever text can."""
        return secret(name)

    def policy(self, function: PolicyFunction | Policy, *, level: Level | None = None) -> None:
        """Have every module looked at by a function too, or give a policy there is another level.

        `level` is "advise" where nothing else is said: see hub_tools.stacks.policies.
        """
        made = function if isinstance(function, Policy) else policy()(function)
        self.policies.append(made if level is None else made.at(level))

    def output(self, name: str, value: Any) -> None:
        """Give out a value, which `edgeyard stack output` prints."""
        self.outputs[name] = value


def check_name(name: str, what: str) -> None:
    """InputError unless `name` can be a part of a configuration's id."""
    if NAME.fullmatch(name) is None or len(name) > NAME_LENGTH_MAX:
        raise InputError(f"{what} {name[:60]!r}: a name has up to {NAME_LENGTH_MAX} of a-z, 0-9 and _")


def load_program(file: Path) -> Program:
    """The function `program` of a file; ProgramError when there is none, or the file does not run."""
    if not file.is_file():
        raise ProgramError(f"there is no file {file}: name the stack's program, such as deployments/stack.py")
    function = names_in(file).get(FUNCTION)
    if not callable(function):
        raise ProgramError(f"{file} has no function {FUNCTION}(stack)")
    found: Program = function
    return found


def load_policies(folder: Path) -> list[Policy]:
    """The policies that `policies.py` in a folder makes by @policy, in their order; none where there is no such file.

    ProgramError when it does not run.
    """
    file = folder / POLICIES
    values = names_in(file).values() if file.is_file() else ()
    imported = set(map(id, DEFAULT_POLICIES))
    return [value for value in values if isinstance(value, Policy) and id(value) not in imported]


def run_program(program: Program, stack: Stack, file: Path) -> Stack:
    """Let the program declare its deployments on `stack`, which has the policies of its folder too.

    ProgramError when it fails or declares nothing.
    """
    stack.policies += load_policies(file.parent)
    try:
        program(stack)
    except Exception as error:
        raise located(error, file) from None
    if not stack.items:
        raise ProgramError(f"{file}: program(stack) declares nothing: use stack.deployment(…) or stack.layer(…)")
    return stack
