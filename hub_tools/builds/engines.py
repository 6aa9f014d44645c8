"""Container engines by their command lines: docker, podman, nerdctl, or another that is like docker."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from iot_core.errors import EdgeyardError

__all__ = ["KNOWN", "Engine", "NoEngineError", "find_engine"]

KNOWN = ("docker", "podman", "nerdctl")
"""Looked for in this order."""
VARIABLE = "EDGEYARD_ENGINE"
OTHER_VARIABLE = "DOCKER"
"""What makefiles and other tools call it."""
ANSWER_WITHIN_S = 20.0
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7"}


class NoEngineError(EdgeyardError):
    """No container engine can be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """How to call an engine. `every_platform`: it builds for other platforms than `host_platform` ("linux/amd64")."""

    command: str
    buildx: bool
    every_platform: bool
    host_platform: str


def find_engine(wanted: str | None, environment: Mapping[str, str]) -> Engine:
    """The engine `wanted`, else the one that EDGEYARD_ENGINE or DOCKER names, else the first of KNOWN that answers.

    Raises NoEngineError with what was tried.
    """
    named = wanted or environment.get(VARIABLE) or environment.get(OTHER_VARIABLE)
    path = environment.get("PATH")
    tried = []
    for name in [named] if named else KNOWN:
        command = shutil.which(name, path=path)
        if command is None:
            tried.append(f"{name} is not installed")
        elif _output([command, "version"], environment) is None:
            tried.append(f"{name} does not answer (is its daemon running?)")
        else:
            return _engine(name, command, environment)
    raise NoEngineError(
        f"no container engine to build with: {', '.join(tried)}; install or start one, or name it with --engine"
    )


def _engine(name: str, command: str, environment: Mapping[str, str]) -> Engine:
    kind = PurePath(name).name
    buildx = kind not in KNOWN[1:] and _output([command, "buildx", "version"], environment) is not None
    return Engine(
        command=name,
        buildx=buildx,
        # podman and nerdctl build for any platform for which the kernel has an emulator (binfmt_misc).
        every_platform=buildx or kind in KNOWN[1:],
        host_platform=_host_platform(command, environment),
    )


def _host_platform(command: str, environment: Mapping[str, str]) -> str:
    """The platform of the engine's server, which may be another machine's; else this one's."""
    answer = _output([command, "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"], environment)
    if answer and answer.count("/") == 1 and "<" not in answer:
        system, _, machine = answer.strip().partition("/")
    else:
        system, machine = "linux", platform.machine()
    return f"{system}/{ARCHITECTURES.get(machine, machine)}"


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What a command prints, None when it fails or does not come back."""
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_WITHIN_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
