"""`edgeyard query`, `twin` and `methods`: look at a hub and act on one device."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from edgeyard.cli.exits import FAILED
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_table
from hub_tools.assignments import parse_assignments
from hub_tools.rest import RestHubService
from hub_tools.service import MethodResult
from iot_core.errors import InputError
from iot_core.identity import Identity

__all__ = ["invoke_method", "query", "twin_app"]

twin_app = typer.Typer(no_args_is_help=True, help="Look at and change device and module twins.")

IdentityArgument = Annotated[str, typer.Argument(metavar="DEVICE[/MODULE]", help="A device, or a module of it.")]


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY")],
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Run a query in the IoT Hub query language.

    Example: edgeyard query "SELECT deviceId, tags.building FROM devices WHERE tags.building = 'B1'"
    """
    rows = run_async(_rows(find_hub(hub, home=home), text))
    if output is Output.JSON:
        print_json(rows)
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print_table(columns, ([_cell(row.get(name)) for name in columns] for row in rows))


async def _rows(target: TargetHub, text: str) -> list[dict[str, Any]]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return [row async for row in service.query(text)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@twin_app.command()
def show(identity: IdentityArgument, hub: HubOption = None, home: HomeOption = None) -> None:
    """Print a twin.

    Example: edgeyard twin show edge-1/scorer
    """
    print_json(run_async(_twin(find_hub(hub, home=home), Identity.from_path(identity))))


async def _twin(target: TargetHub, identity: Identity) -> dict[str, Any]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return await service.get_twin(identity)


@twin_app.command("set")
def set_properties(
    identity: IdentityArgument,
    desired: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.", show_default=False)] = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Set desired properties or tags of one twin; null deletes.

    Example: edgeyard twin set thermostat-1 --desired reportingInterval=2
    """
    patch: dict[str, Any] = {}
    if desired:
        patch["properties"] = {"desired": parse_assignments(desired, "--desired")}
    if tag:
        patch["tags"] = parse_assignments(tag, "--tag")
    if not patch:
        raise InputError("nothing to set: give --desired NAME=VALUE or --tag NAME=VALUE")
    target = find_hub(hub, home=home)
    confirm_change(target, f"change the twin of {identity}", yes=yes)
    print_json(run_async(_patch(target, Identity.from_path(identity), patch)))


async def _patch(target: TargetHub, identity: Identity, patch: dict[str, Any]) -> dict[str, Any]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return await service.patch_twin(identity, patch)


def invoke_method(
    identity: IdentityArgument,
    name: Annotated[str, typer.Argument(metavar="METHOD")],
    payload: Annotated[str, typer.Option(help="JSON.")] = "null",
    timeout: Annotated[int, typer.Option(help="Seconds to wait for the answer.", min=5, max=300)] = 30,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Call a direct method of a connected device or module.

    Example: edgeyard methods thermostat-1 reboot --payload '{"delaySeconds": 1}'
    """
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise InputError(f"--payload is not JSON: {error}") from error
    target = find_hub(hub, home=home)
    confirm_change(target, f"call {name} on {identity}", yes=yes)
    result = run_async(_invoke(target, Identity.from_path(identity), name, value, timeout))
    print_json({"status": result.status, "payload": result.payload})
    if result.status >= 400:
        raise typer.Exit(FAILED)


async def _invoke(target: TargetHub, identity: Identity, name: str, payload: Any, timeout_s: int) -> MethodResult:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return await service.invoke_method(identity, name, payload, response_timeout_s=timeout_s)
