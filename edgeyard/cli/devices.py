"""`edgeyard devices`: the identity registry."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_table, stdout
from hub_tools.assignments import parse_assignments
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity

__all__ = ["app", "device_connection_string"]

app = typer.Typer(no_args_is_help=True, help="Look at and change the device identities of a hub.")

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE_ID")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]


@app.command()
def create(
    device_id: DeviceArgument,
    edge: Annotated[bool, typer.Option("--edge", help="An IoT Edge device.")] = False,
    tag: Annotated[list[str] | None, typer.Option(help="Tag NAME=VALUE; may be repeated.", show_default=False)] = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Create a device and print its connection string.

    Example: edgeyard devices create thermostat-1 --tag building=B1
    """
    tags = parse_assignments(tag or [], "--tag")
    target = find_hub(hub, home=home)
    confirm_change(target, f"create the device {device_id}", yes=yes)
    device = run_async(_create(target, device_id, edge, tags))
    stdout.print(str(device_connection_string(target, device)), markup=False, soft_wrap=True)


async def _create(target: TargetHub, device_id: str, edge: bool, tags: dict[str, Any]) -> dict[str, Any]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        device = await service.create_device(device_id, edge=edge)
        if tags:
            await service.patch_twin(Identity(device_id), {"tags": tags})
        return device


@app.command()
def show(device_id: DeviceArgument, hub: HubOption = None, home: HomeOption = None) -> None:
    """Print a device's connection string.

    Example: edgeyard devices show thermostat-1
    """
    target = find_hub(hub, home=home)
    device = run_async(_get(target, device_id))
    stdout.print(str(device_connection_string(target, device)), markup=False, soft_wrap=True)


async def _get(target: TargetHub, device_id: str) -> dict[str, Any]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return await service.get_device(device_id)


@app.command()
def delete(device_id: DeviceArgument, hub: HubOption = None, home: HomeOption = None, yes: YesOption = False) -> None:
    """Delete a device with its twin and modules.

    Example: edgeyard devices delete thermostat-1
    """
    target = find_hub(hub, home=home)
    confirm_change(target, f"delete the device {device_id}", yes=yes)
    run_async(_delete(target, device_id))


async def _delete(target: TargetHub, device_id: str) -> None:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        await service.delete_device(device_id)


@app.command("list")
def list_devices(output: OutputOption = Output.TABLE, hub: HubOption = None, home: HomeOption = None) -> None:
    """List all devices with their state and tags.

    Example: edgeyard devices list --output json
    """
    twins = run_async(_twins(find_hub(hub, home=home)))
    if output is Output.JSON:
        print_json(twins)
        return
    rows = (
        (twin["deviceId"], twin["status"], twin["connectionState"], _yes(twin), _tags(twin.get("tags", {})))
        for twin in twins
    )
    print_table(("DEVICE", "STATUS", "CONNECTION", "EDGE", "TAGS"), rows)


async def _twins(target: TargetHub) -> list[dict[str, Any]]:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        return [twin async for twin in service.query("SELECT * FROM devices")]


def _yes(twin: dict[str, Any]) -> str:
    return "yes" if twin.get("capabilities", {}).get("iotEdge") else ""


def _tags(tags: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(tags.items()))


def device_connection_string(target: TargetHub, device: dict[str, Any]) -> ConnectionString:
    """The connection string of a device with its primary key.

    Device SDKs add the ports themselves, so the hub's HTTPS port is left out.
    """
    return ConnectionString(
        host_name=target.connection_string.host_name.partition(":")[0],
        device_id=device["deviceId"],
        shared_access_key=device["authentication"]["symmetricKey"]["primaryKey"],
    )
