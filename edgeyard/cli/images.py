"""`edgeyard build`: the images of the modules, for every platform."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.render import Output, print_error, print_json, print_note, stdout
from hub_tools.builds import Engine, NoEngineError, Steps, find_engine, plan_builds, steps_of
from hub_tools.builds.plan import DEFAULT_PLATFORMS
from iot_core.errors import InputError

__all__ = ["build"]

ASSUMED = Engine(command="docker", buildx=True, every_platform=True, host_platform="linux/amd64")
"""What a dry run shows where there is no engine."""


def build(
    modules: Annotated[
        list[str] | None, typer.Argument(metavar="[MODULE]...", help="Default: all that the template names.")
    ] = None,
    template: Annotated[Path, typer.Option(help="Deployment template.")] = Path("deployment.template.json"),
    push: Annotated[bool, typer.Option("--push", help="Push what was built to its registry.")] = False,
    platform: Annotated[
        list[str] | None,
        typer.Option(help="amd64, arm64v8 or arm32v7; may be repeated.", show_default="amd64, arm64v8"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Command like docker. Default: EDGEYARD_ENGINE, DOCKER, or what is there.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, run none.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="Of --dry-run: table or JSON.")] = Output.TABLE,
) -> None:
    """Build the images of modules for amd64 and arm64, with docker buildx, podman or nerdctl.

    Example: edgeyard build --push scorer
    """
    builds = plan_builds(template, modules=modules or (), platforms=platform or DEFAULT_PLATFORMS)
    if not builds:
        raise InputError(f"{template} names no module to build for these platforms: ${{MODULES.name}} in an image does")
    steps = steps_of(builds, _engine(engine, dry_run=dry_run), push=push)
    if dry_run:
        _show(steps, output)
    else:
        _carry_out(steps)


def _engine(wanted: str | None, *, dry_run: bool) -> Engine:
    try:
        return find_engine(wanted, os.environ)
    except NoEngineError as error:
        if not dry_run:
            raise
        print_note(f"{error}. These are the commands of docker buildx")
        return ASSUMED


def _show(steps: Sequence[Steps], output: Output) -> None:
    if output is Output.JSON:
        rows = [
            {
                "module": item.build.module,
                "image": item.build.image,
                "platform": item.build.platform,
                "commands": [list(command) for command in item.commands],
            }
            for item in steps
        ]
        print_json(rows)
        return
    for item in steps:
        _name_if_left_out(item)
        for command in item.commands:
            print(shlex.join(command))


def _carry_out(steps: Sequence[Steps]) -> None:
    """Run all of them; what fails is named and does not keep the others from being built."""
    done = 0
    for item in steps:
        _name_if_left_out(item)
        done += bool(item.commands) and all(_succeeds(command) for command in item.commands)
    stdout.print(f"{done} of {len(steps)} images built", markup=False)
    if done < len(steps):
        raise typer.Exit(PARTLY if done else FAILED)


def _name_if_left_out(item: Steps) -> None:
    if not item.commands:
        build = item.build
        print_note(
            f"{build.image} left out: without buildx this docker builds only for its own platform, not {build.platform}"
        )


def _succeeds(command: Sequence[str]) -> bool:
    print_note(shlex.join(command))
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        print_error(f"{command[0]} cannot be started: {error.strerror}")
        return False
    if code:
        print_error(f"exit code {code}: {shlex.join(command)}")
    return code == 0
