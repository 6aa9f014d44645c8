"""The commands that build, and push, a list of images with an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub_tools.builds.engines import Engine
from hub_tools.builds.plan import Build

__all__ = ["Steps", "steps_of"]

Command = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """The commands of one image, to be run in order; none where this engine cannot build for its platform."""

    build: Build
    commands: tuple[Command, ...]


def steps_of(builds: Sequence[Build], engine: Engine, *, push: bool = False) -> list[Steps]:
    """The commands for each image. Without buildx or another engine for every platform, only images for the engine's
    own platform have any."""
    return [Steps(build=build, commands=_commands(build, engine, push=push)) for build in builds]


def _commands(build: Build, engine: Engine, *, push: bool) -> tuple[Command, ...]:
    what = ("--file", str(build.dockerfile), "--tag", build.image, *build.options)
    context = str(build.context)
    if engine.buildx:
        output = "--push" if push else "--load"
        return ((engine.command, "buildx", "build", "--platform", build.platform, *what, output, context),)
    if not engine.every_platform and build.platform != engine.host_platform:
        return ()
    platform = ("--platform", build.platform) if engine.every_platform else ()
    made = (engine.command, "build", *platform, *what, context)
    return (made, (engine.command, "push", build.image)) if push else (made,)
