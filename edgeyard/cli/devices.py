"""`edgeyard devices`: the identity registry, one device at a time and in files."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgeyard.cli import device_files, device_tags
from edgeyard.cli.aliases import like_az
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from edgeyard.cli.selection import GROUPS_FILE, GroupOption, GroupsFileOption, WhereOption, selected
from hub_tools.assignments import parse_assignments
from hub_tools.groups import EVERY_DEVICE
from hub_tools.service import HubService
from iot_core.clock import UNSET_TIME
from iot_core.connection_string import ConnectionString
from iot_core.errors import HubError, InputError
from iot_core.identity import Identity

__all__ = ["app", "device_connection_string"]

app = typer.Typer(no_args_is_help=True, help="Look at and change the device identities of a hub.")

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE_ID")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]
ONE_DEVICE = like_az("device")


@app.command(cls=like_az("device", options={"--edge-enabled": "--edge", "--ee": "--edge"}))
def create(
    device_id: DeviceArgument,
    edge: Annotated[bool, typer.Option("--edge", help="An IoT Edge device.")] = False,
    tag: Annotated[list[str] | None, typer.Option(help="Tag NAME=VALUE; may be repeated.", show_default=False)] = None,
    output: OutputOption = Output.TABLE,
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
    if output is Output.JSON:
        print_json(device)
    else:
        _print_connection_string(target, device)


async def _create(target: TargetHub, device_id: str, edge: bool, tags: dict[str, Any]) -> dict[str, Any]:
    async with target.service() as service:
        device = await service.create_device(device_id, edge=edge)
        if tags:
            await service.patch_twin(Identity(device_id), {"tags": tags})
        return device


@app.command(cls=ONE_DEVICE)
def show(
    device_id: DeviceArgument,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Print a device: state, connection, tags and modules; keys are left out.

    Example: edgeyard devices show thermostat-1
    """
    shown = run_async(_described(find_hub(hub, home=home), device_id))
    if output is Output.JSON:
        print_json(shown)
        return
    rows = ((name, _text(value)) for name, value in shown.items())
    print_table(("WHAT", "VALUE"), ((name, text) for name, text in rows if text))


async def _described(target: TargetHub, device_id: str) -> dict[str, Any]:
    async with target.service() as service:
        device = await service.get_device(device_id)
        modules = await service.list_modules(device_id)
        tags = await _tags_of(service, device_id)
    names = ("deviceId", "status", "statusReason", "connectionState", "lastActivityTime", "cloudToDeviceMessageCount")
    return {
        **{name: device.get(name) for name in names},
        "edge": bool(device.get("capabilities", {}).get("iotEdge")),
        "authentication": device.get("authentication", {}).get("type"),
        "modules": sorted(str(module["moduleId"]) for module in modules),
        "tags": tags,
    }


async def _tags_of(service: HubService, device_id: str) -> dict[str, Any]:
    """Nothing where the policy may read identities and no twins, which is said."""
    try:
        return dict((await service.get_twin(Identity(device_id))).get("tags", {}))
    except HubError as error:
        if error.status != 401:
            raise
        print_note(f"without tags: {error.message}")
        return {}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _tags(value)
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value.removesuffix("Z") == UNSET_TIME.removesuffix("Z"):
        return "never"
    return "" if value is None else str(value)


@app.command("connection-string", cls=like_az("device", options={"--module-id": "--module", "-m": "--module"}))
def connection_string(
    device_id: DeviceArgument,
    module: Annotated[
        str | None, typer.Option(metavar="MODULE_ID", help="Of this module of it.", show_default=False)
    ] = None,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Print the connection string of a device or a module, with its primary key.

    Example: edgeyard devices connection-string thermostat-1
    """
    target = find_hub(hub, home=home)
    found = device_connection_string(target, run_async(_identity(target, Identity(device_id, module))))
    if output is Output.JSON:
        print_json({"connectionString": str(found)})
    else:
        stdout.print(str(found), markup=False, soft_wrap=True)


async def _identity(target: TargetHub, identity: Identity) -> dict[str, Any]:
    async with target.service() as service:
        device = await service.get_device(identity.device_id)
        if identity.module_id is None:
            return device
        modules = {module["moduleId"]: module for module in await service.list_modules(identity.device_id)}
    if identity.module_id not in modules:
        there = ", ".join(sorted(modules)) or "none"
        raise InputError(f"{identity.device_id} has no module {identity.module_id}; it has {there}")
    return modules[identity.module_id]


@app.command(cls=ONE_DEVICE)
def delete(device_id: DeviceArgument, hub: HubOption = None, home: HomeOption = None, yes: YesOption = False) -> None:
    """Delete a device with its twin and modules.

    Example: edgeyard devices delete thermostat-1
    """
    target = find_hub(hub, home=home)
    confirm_change(target, f"delete the device {device_id}", yes=yes)
    run_async(_delete(target, device_id))
    print_note(f"{device_id} is deleted.")


async def _delete(target: TargetHub, device_id: str) -> None:
    async with target.service() as service:
        await service.delete_device(device_id)


@app.command("list", cls=like_az())
def list_devices(
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsFileOption = GROUPS_FILE,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """List all devices with their state and tags, or those that a condition or a group selects.

    Example: edgeyard devices list --where "tags.building = 'B1'"
    """
    condition = selected(where, group, groups)
    twins = run_async(_twins(find_hub(hub, home=home), condition))
    if output is Output.JSON:
        print_json(twins)
        return
    rows = (
        (twin["deviceId"], twin["status"], twin["connectionState"], _yes(twin), _tags(twin.get("tags", {})))
        for twin in twins
    )
    print_table(("DEVICE", "STATUS", "CONNECTION", "EDGE", "TAGS"), rows)


async def _twins(target: TargetHub, condition: str) -> list[dict[str, Any]]:
    where = "" if condition == EVERY_DEVICE else f" WHERE {condition}"
    async with target.service() as service:
        return [twin async for twin in service.query(f"SELECT * FROM devices{where}")]


app.command("tag")(device_tags.tag)
app.command("import")(device_files.import_devices)
app.command("export")(device_files.export_devices)


def _yes(twin: dict[str, Any]) -> str:
    return "yes" if twin.get("capabilities", {}).get("iotEdge") else ""


def _tags(tags: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(tags.items()))


def _print_connection_string(target: TargetHub, device: dict[str, Any]) -> None:
    stdout.print(str(device_connection_string(target, device)), markup=False, soft_wrap=True)


def device_connection_string(target: TargetHub, device: dict[str, Any]) -> ConnectionString:
    """The connection string of a device or module identity: with its primary key, or for a certificate.

    Device SDKs add the ports themselves, so the hub's HTTPS port is left out. InputError where there is no key to show.
    """
    authentication = device.get("authentication", {})
    key = (authentication.get("symmetricKey") or {}).get("primaryKey")
    by_certificate = authentication.get("type") in ("selfSigned", "certificateAuthority")
    if not key and not by_certificate:
        whose = Identity(device["deviceId"], device.get("moduleId")).path
        raise InputError(f"{whose} has no key that this policy may see, or signs in by none of its own")
    return ConnectionString(
        host_name=target.host_name.partition(":")[0],
        device_id=device["deviceId"],
        module_id=device.get("moduleId"),
        shared_access_key=None if by_certificate else key,
        x509=by_certificate,
    )
