"""What follows an `edgeyard up`: drift, taking over, taking down, and the versions there were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.differences import difference_lines
from edgeyard.cli.exits import FAILED, UNEXPECTED_CHANGES
from edgeyard.cli.hubs import (
    HomeOption,
    HubOption,
    TargetHub,
    YesOption,
    confirm_change,
    find_hub,
    home_folder,
    run_async,
)
from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from edgeyard.cli.stack_options import (
    EnvironmentOption,
    NameOption,
    OutputOption,
    ProgramArgument,
    ProgramOption,
    hub_of,
    opened,
)
from edgeyard.cli.stack_watch import Screen
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.environments import Environment, read_environments
from hub_tools.stacks.history import Version, read_version, read_versions
from hub_tools.stacks.importing import Imported, prepare_import, take_over
from hub_tools.stacks.opening import PLACES, OpenedStack, selected_environment
from hub_tools.stacks.ownership import owned_by
from hub_tools.stacks.refresh import Drift, find_drift
from hub_tools.stacks.removal import destroy as remove
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.world import read_world
from iot_core.errors import InputError

__all__ = ["destroy", "history", "import_", "refresh"]


def refresh(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit code 4 when something has drifted.")
    ] = False,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Tell what others have changed since the stack was applied, in the hub and on devices; nothing is changed.

    Exit codes: 0 told, 4 drift where none was expected.

    Example: edgeyard stack refresh --expect-no-changes
    """
    stack = opened(file, environment, name, home)
    target = hub_of(stack, hub, home)
    with StackFolder(home_folder(home), stack.name, stack.environment.name) as folder:
        current = folder.load(target.host_name).current
        version = read_version(folder, current) if current is not None else None
        found = run_async(_drift(target, stack, version))
    if output is Output.JSON:
        print_json({"version": current, "drifted": bool(found), **found.to_json()})
    else:
        _print_drift(found)
    if found and expect_no_changes:
        raise typer.Exit(UNEXPECTED_CHANGES)


def destroy(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Delete the configurations that a stack made, and nothing else; devices keep the modules that they run.

    With --stack NAME and no FILE the program is not run.

    Example: edgeyard stack destroy --environment dev
    """
    stack, chosen = _named(file, environment, name, home)
    target = find_hub(hub or chosen.hub, home=home)
    with StackFolder(home_folder(home), stack, chosen.name) as folder:
        removed = run_async(_remove(target, folder, stack, chosen.name, output, yes=yes))
    if removed is None:
        raise typer.Exit(FAILED)
    if output is Output.JSON:
        print_json({"removed": list(removed)})
    else:
        text = f"removed {', '.join(removed)}" if removed else "there was nothing to remove"
        stdout.print(text, markup=False, soft_wrap=True)


def import_(
    configuration: Annotated[str, typer.Argument(metavar="ID", help="The deployment's id in the hub.")],
    item: Annotated[
        str | None, typer.Option("--name", help="Its name in the stack. Default: from its id.", show_default=False)
    ] = None,
    file: ProgramOption = None,
    environment: EnvironmentOption = None,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Take over a deployment that was made otherwise: it gets the stack's labels, and its Python is printed.

    Values that look like secrets are printed as references. With --stack NAME and no --file no program is run.

    Example: edgeyard stack import factory-base --stack fleet > stack.py
    """
    stack, chosen = _named(file, environment, name, home)
    target = find_hub(hub or chosen.hub, home=home)
    imported = run_async(_import(target, stack, chosen.name, configuration, item, yes=yes))
    if output is Output.JSON:
        print_json(imported.to_json())
    else:
        print(imported.program, end="")
    print_note(f"{imported.id} is {imported.name!r} of {stack}/{chosen.name} now")
    if imported.secrets:
        print_note(f"secrets to set before the next preview: {', '.join(imported.secrets)}")


def history(
    file: ProgramArgument = None,
    environment: EnvironmentOption = None,
    output: OutputOption = Output.TABLE,
    name: NameOption = None,
    home: HomeOption = None,
) -> None:
    """List the versions of a stack that were applied from here.

    Example: edgeyard stack history
    """
    stack, chosen = _named(file, environment, name, home)
    with StackFolder(home_folder(home), stack, chosen.name) as folder:
        state = folder.load()
        versions = read_versions(folder, state)
    if output is Output.JSON:
        print_json([{**version.to_json(), "inForce": version.number == state.current} for version in versions])
    else:
        print_table(
            ("VERSION", "IN FORCE", "APPLIED", "BY", "DEPLOYMENTS", "NOTE"),
            (_row(version, in_force=version.number == state.current) for version in versions),
        )


def _named(file: Path | None, environment: str | None, name: str | None, home: Path | None) -> tuple[str, Environment]:
    """The stack's name and environment; the program is run only where it has to tell them."""
    if name is None or file is not None:
        stack = opened(file, environment, name, home)
        return stack.name, stack.environment
    folder = next((place.parent for place in PLACES if place.is_file()), Path())
    environments = read_environments(folder)
    chosen = environment or selected_environment(home_folder(home), name)
    if chosen not in environments:
        raise InputError(f"there is no environment {chosen!r}; there are: {', '.join(environments)}")
    return name, environments[chosen]


async def _drift(target: TargetHub, stack: OpenedStack, version: Version | None) -> Drift:
    """Drift from a version, or from what the program says where none is kept here."""
    name, environment = stack.name, stack.environment.name
    async with target.service() as service:
        world = await read_world(service, [])
        if version is None:
            owned = owned_by(name, environment, world.configurations)
            items = {each: item for each, item in stack.stack.items.items() if each in owned}
            if not items:
                raise InputError(f"nothing of {name}/{environment} is applied: apply it with `edgeyard up`")
            print_note("no version is kept here: the hub is compared with what the program says now")
            ids = {each: owned[each][0].id for each in items}
        else:
            items, ids = dict(version.items), dict(version.ids)
        return await find_drift(service, world, name, environment, items, ids, value_of=stack.secrets().maybe)


async def _remove(
    target: TargetHub, folder: StackFolder, stack: str, environment: str, output: Output, *, yes: bool
) -> tuple[str, ...] | None:
    async with target.service() as service:
        with Screen(target, output, yes=yes, always=True) as screen:
            applier = Applier(
                service=service,
                folder=folder,
                stack=stack,
                environment=environment,
                value_of=_no_secret,
                watcher=screen,
            )
            return await remove(applier)


def _no_secret(name: str) -> str:
    raise InputError(f"secret {name} is not needed to delete")


async def _import(
    target: TargetHub, stack: str, environment: str, configuration: str, item: str | None, *, yes: bool
) -> Imported:
    async with target.service() as service:
        imported = await prepare_import(service, stack, environment, configuration, name=item)
        confirm_change(target, f"add labels to {configuration}", yes=yes)
        await take_over(service, imported)
        return imported


def _row(version: Version, *, in_force: bool) -> tuple[object, ...]:
    items = ", ".join(version.ids.values())
    return version.number, "yes" if in_force else "", version.applied[:19], version.by, items, version.note


def _print_drift(found: Drift) -> None:
    if not found:
        stdout.print("nothing has changed since the stack was applied", style="green")
        return
    for item in found.configurations:
        values = "" if item.applied == item.found else f": {item.applied!r} → {item.found!r}"
        stdout.print(f"{item.id}  {item.what}{values}", markup=False, soft_wrap=True)
    for device in found.devices:
        stdout.print(f"{device.device_id}  does not have what its deployments give; to come back:", style="bold")
        for line in difference_lines(device.missing):
            stdout.print("  ", line, soft_wrap=True)
