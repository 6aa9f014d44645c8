"""`edgeyard twin`: look at and change device and module twins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.cli.aliases import like_az
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from edgeyard.cli.twin_edit import EditedTwin, edit_text, kept, starting_text
from hub_tools.assignments import parse_assignments
from hub_tools.service import Json
from hub_tools.twin_difference import PropertyRow, PropertyState, compare_properties
from iot_core.errors import InputError
from iot_core.identity import Identity
from iot_core.twin import validate_section

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at and change device and module twins.")

IdentityArgument = Annotated[str, typer.Argument(metavar="DEVICE[/MODULE]", help="A device, or a module of it.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]
ONE_TWIN = like_az("device", module=True)
_COLOURS = {
    PropertyState.ACKNOWLEDGED: "green",
    PropertyState.EQUAL: "green",
    PropertyState.PENDING: "yellow",
    PropertyState.UNANSWERED: "yellow",
    PropertyState.REFUSED: "red",
    PropertyState.DIFFERENT: "red",
    PropertyState.REPORTED: "dim",
}


@app.command(cls=ONE_TWIN)
def show(
    identity: IdentityArgument,
    output: Annotated[Output, typer.Option("--output", "-o", help="Both are JSON.")] = Output.JSON,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Print a twin.

    Example: edgeyard twin show edge-1/scorer
    """
    del output
    print_json(run_async(_twin(find_hub(hub, home=home), Identity.from_path(identity))))


async def _twin(target: TargetHub, identity: Identity) -> Json:
    async with target.service() as service:
        return await service.get_twin(identity)


@app.command("set", cls=like_az("device", options={"--tags": "--tag"}, module=True))
def set_properties(
    identity: IdentityArgument,
    desired: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE or a JSON object; may be repeated.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE or a JSON object; may be repeated.", show_default=False)
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Both are JSON.")] = Output.JSON,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Set desired properties or tags of one twin; null deletes.

    Example: edgeyard twin set thermostat-1 --desired reportingInterval=2
    """
    del output
    patch: Json = {}
    if desired:
        patch["properties"] = {"desired": _values(desired, "--desired")}
        validate_section("desired", patch["properties"]["desired"])
    if tag:
        patch["tags"] = _values(tag, "--tag")
        validate_section("tags", patch["tags"])
    if not patch:
        raise InputError("nothing to set: give --desired NAME=VALUE or --tag NAME=VALUE")
    whose = Identity.from_path(identity)
    target = find_hub(hub, home=home)
    confirm_change(target, f"change the twin of {identity}", yes=yes)
    print_json(run_async(_patch(target, whose, patch)))


def _values(texts: list[str], option: str) -> Json:
    """Assignments, or where az's users give it, one JSON object."""
    if len(texts) == 1 and texts[0].lstrip().startswith("{"):
        try:
            document: Any = json.loads(texts[0])
        except ValueError as error:
            raise InputError(f"{option} is not JSON: {error}") from None
        return dict(document)
    return parse_assignments(texts, option)


async def _patch(target: TargetHub, identity: Identity, patch: Json, etag: str | None = None) -> Json:
    async with target.service() as service:
        return await service.patch_twin(identity, patch, etag=etag)


@app.command(cls=ONE_TWIN)
def diff(
    identity: IdentityArgument,
    everything: Annotated[bool, typer.Option("--all", help="Also what agrees, and what is only reported.")] = False,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Compare what is desired with what the device reports, with its acknowledgements (ac, av) where it gives them.

    Example: edgeyard twin diff thermostat-1 --all
    """
    twin = run_async(_twin(find_hub(hub, home=home), Identity.from_path(identity)))
    found = compare_properties(twin)
    rows = [row for row in found if everything or not row.state.settled]
    if output is Output.JSON:
        print_json([row.document() for row in rows])
        return
    if rows:
        print_table(("PROPERTY", "DESIRED", "REPORTED", "STATE", "AC", "AV", "OF", "WHY"), map(_cells, rows))
    desired = [row for row in found if row.state is not PropertyState.REPORTED]
    settled = sum(row.state.settled for row in desired)
    print_note(f"{identity}: {settled} of {len(desired)} desired properties are as wanted")


def _cells(row: PropertyRow) -> list[object]:
    from rich.text import Text

    state = Text(row.state.value, style=_COLOURS[row.state])
    return [
        row.name,
        _cell(row.desired),
        _cell(row.reported),
        state,
        *map(_cell, (row.ac, row.av, row.version, row.ad)),
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command(cls=ONE_TWIN)
def edit(
    identity: IdentityArgument,
    again: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Go on with a text that was kept.", show_default=False),
    ] = None,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Edit tags and desired properties as JSON in $VISUAL or $EDITOR; nothing is written over that changed meanwhile.

    The text is checked before it is sent. Where it is not taken, it is kept in a file that is named.

    Example: edgeyard twin edit thermostat-1
    """
    whose = Identity.from_path(identity)
    target = find_hub(hub, home=home)
    confirm_change(target, f"change the twin of {identity}", yes=yes)
    twin = run_async(_twin(target, whose))
    with kept(identity, starting_text(twin, again)) as file:
        edited = EditedTwin.read(edit_text(file), twin)
        if edited.patch:
            twin = run_async(_patch(target, whose, edited.patch, etag=twin["etag"]))
    if output is Output.JSON:
        print_json(twin)
    else:
        print_note(edited.described(identity))
