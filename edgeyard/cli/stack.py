"""`edgeyard stack`: deployments as code."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import UNEXPECTED_CHANGES, WRONG_USE
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, home_folder, run_async
from edgeyard.cli.progress import progress_bar
from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from edgeyard.cli.stack_apply import rollback, up
from edgeyard.cli.stack_graph import graph
from edgeyard.cli.stack_options import (
    CONFIGURATIONS_MAX,
    EnvironmentOption,
    LimitOption,
    NameOption,
    ProgramArgument,
    hub_of,
    opened,
)
from edgeyard.cli.stack_render import print_preview
from edgeyard.cli.stack_upkeep import destroy, history, import_, refresh
from hub_tools.stacks.opening import OpenedStack, default_program, select_environment
from hub_tools.stacks.preview import Preview, compute_preview
from hub_tools.stacks.world import World, read_world
from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["app", "preview"]

app = typer.Typer(no_args_is_help=True, help="Deployments as code: preview them, apply them, take them down.")


@app.command()
def preview(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan, for `up --plan FILE`.", show_default=False)] = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit code 4 when there are changes.")
    ] = False,
    limit: LimitOption = CONFIGURATIONS_MAX,
    output: Annotated[Output, typer.Option("--output", "-o", help="Text or JSON.")] = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Show what applying a stack would change, on the hub and on each class of devices; nothing is changed.

    Exit codes: 0 previewed, 2 it could not be applied, 4 changes where none were expected.

    Example: edgeyard preview, or in full: edgeyard stack preview deployments/stack.py
    """
    stack = opened(file, environment, name, home)
    world = run_async(_read(hub_of(stack, hub, home), stack))
    found, seconds = _computed(stack, world, limit)
    if out is not None:
        _write_plan(out, found)
    if output is Output.JSON:
        print_json({**found.to_json(), "fetchSeconds": round(world.fetch_s, 3), "computeSeconds": round(seconds, 3)})
    else:
        print_preview(found)
        print_note(
            f"{len(world.twins):,} devices fetched in {world.fetch_s:.1f} s, preview computed in {seconds:.1f} s"
        )
    if found.errors:
        raise typer.Exit(WRONG_USE)
    if expect_no_changes and found.has_changes:
        raise typer.Exit(UNEXPECTED_CHANGES)


async def _read(target: TargetHub, stack: OpenedStack) -> World:
    async with target.service() as service:
        with progress_bar("edge devices") as show:
            return await read_world(service, stack.conditions, on_devices=show)


def _computed(stack: OpenedStack, world: World, limit: int) -> tuple[Preview, float]:
    started = time.monotonic()
    with progress_bar("what each device would have"):
        found = compute_preview(
            stack.name,
            stack.environment.name,
            stack.stack.items,
            world,
            value_of=stack.secrets().maybe,
            checks=stack.checks,
            limit=limit,
        )
    return found, time.monotonic() - started


def _write_plan(file: Path, found: Preview) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, json.dumps(found.to_json(), indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise InputError(f"the plan {file} cannot be written: {error.strerror}") from None
    print_note(f"wrote {file}")


@app.command()
def select(
    environment: Annotated[str, typer.Argument(help="dev, prod, …: a table of environments.toml.")],
    file: ProgramArgument = None,
    name: NameOption = None,
    home: HomeOption = None,
) -> None:
    """Choose the environment that commands on this stack mean from now on.

    Example: edgeyard stack select prod
    """
    called = select_environment(file or default_program(), environment, name=name, home=home_folder(home))
    stdout.print(f"commands on the stack {called} mean {environment} now", markup=False)


@app.command("output")
def show_output(
    name: Annotated[str | None, typer.Argument(help="One of them; its value alone is printed.")] = None,
    file: Annotated[Path | None, typer.Option(help="The program.", show_default=False)] = None,
    environment: EnvironmentOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    stack_name: NameOption = None,
    home: HomeOption = None,
) -> None:
    """Print what a stack gives out.

    Example: edgeyard stack output building
    """
    declared = opened(file, environment, stack_name, home).stack.outputs
    outputs = json.loads(json.dumps(dict(declared), default=str))
    if name is not None and name not in outputs:
        raise InputError(f"there is no output {name!r}; there are: {', '.join(outputs) or 'none'}")
    if output is Output.JSON:
        print_json(outputs if name is None else outputs[name])
    elif name is None:
        print_table(("OUTPUT", "VALUE"), [(key, _text(value)) for key, value in outputs.items()])
    else:
        print(_text(outputs[name]))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


for name, command in (
    ("up", up),
    ("graph", graph),
    ("refresh", refresh),
    ("rollback", rollback),
    ("history", history),
    ("import", import_),
    ("destroy", destroy),
):
    app.command(name)(command)
