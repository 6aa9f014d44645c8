"""`edgeyard stack graph`: a stack as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, run_async
from edgeyard.cli.progress import progress_bar
from edgeyard.cli.render import print_note
from edgeyard.cli.stack_options import EnvironmentOption, NameOption, ProgramArgument, hub_of, opened
from hub_tools.stacks.drawing import svg
from hub_tools.stacks.graph import graph_of, mermaid
from hub_tools.stacks.opening import OpenedStack
from hub_tools.stacks.targeting import Targeting, bits
from hub_tools.stacks.world import read_world
from iot_core.configurations import compile_target
from iot_core.errors import InputError

__all__ = ["graph"]


class Form(StrEnum):
    """What a graph is written as."""

    MERMAID = "mermaid"
    SVG = "svg"


def graph(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    to: Annotated[
        Form | None, typer.Option(help="Default: svg for --out NAME.svg, else mermaid.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File. Default: standard output.", show_default=False)] = None,
    count: Annotated[bool, typer.Option("--count", help="Ask the hub how many devices each layer targets.")] = False,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Draw a stack: devices, layers, modules and routes, as an SVG picture or as Mermaid text.

    Example: edgeyard stack graph --out yard.svg
    """
    stack = opened(file, environment, name, home)
    targeted = run_async(_counted(hub_of(stack, hub, home), stack)) if count else None
    drawn = graph_of(f"{stack.name} · {stack.environment.name}", stack.stack.items.values(), targeted)
    form = to or (Form.SVG if out is not None and out.suffix.lower() == ".svg" else Form.MERMAID)
    text = svg(drawn) if form is Form.SVG else mermaid(drawn)
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    print_note(f"wrote {out}")


async def _counted(target: TargetHub, stack: OpenedStack) -> Mapping[str, int]:
    async with target.service() as service:
        with progress_bar("edge devices") as show:
            world = await read_world(service, stack.conditions, on_devices=show)
    targeting = Targeting([compile_target(condition) for condition in stack.conditions])
    counts = [0] * len(stack.conditions)
    for twin in world.twins:
        for position in bits(targeting.mask(twin)):
            counts[position] += 1
    return dict(zip(stack.stack.items, counts, strict=True))
