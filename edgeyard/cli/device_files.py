"""`edgeyard devices import` and `export`: devices and their tags in CSV and JSON files."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.cli.exits import FAILED, PARTLY, WRONG_USE
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.progress import progress_bar
from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from edgeyard.cli.selection import GROUPS_FILE, GroupOption, GroupsFileOption, WhereOption, selected
from hub_tools.devices import (
    Action,
    DeviceFile,
    DeviceRecord,
    ImportPlan,
    LineError,
    carry_out,
    collect_records,
    plan_import,
    read_devices,
    write_devices,
)
from hub_tools.devices.reading import format_of, parse_devices
from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["export_devices", "import_devices"]

STDIO = Path("-")
SHOWN = 10
"""Devices and lines named before it says how many more there are."""


class FormatName(StrEnum):
    """Formats of files of devices."""

    CSV = "csv"
    JSON = "json"


FormatOption = Annotated[
    FormatName | None, typer.Option("--format", help="Default: by the suffix; csv for -.", show_default=False)
]


def import_devices(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file; - is stdin.")],
    kind: FormatOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and end.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Create devices and set their tags from a file: says what it will do, and does only what is not so yet.

    Columns: deviceId, status, edge, primaryKey and secondaryKey, tags.NAME, desired.NAME. An empty cell leaves the
    value alone, null deletes it. Devices that are not in the file are not touched.

    Example: edgeyard devices import devices.csv --dry-run

    Exit codes: 0 all as the file says, 1 failed, 2 wrong use, 3 some lines or devices could not be done.
    """
    devices = _read(file, kind)
    target = find_hub(hub, home=home)
    plan = run_async(_plan(target, devices))
    if output is Output.TABLE:
        _print_plan(plan, target)
    failed: list[LineError] = []
    if plan.changes and not dry_run:
        confirm_change(target, f"create or change {len(plan.changes)} devices", yes=yes)
        failed = run_async(_carry_out(target, plan))
    _print_result(plan, failed, output, dry_run=dry_run)
    if code := _exit_code(plan, failed):
        raise typer.Exit(code)


def export_devices(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .json file; - is stdout.")] = STDIO,
    kind: FormatOption = None,
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsFileOption = GROUPS_FILE,
    desired: Annotated[bool, typer.Option("--desired", help="Desired properties too.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Keys too; the file is then for you only (0600).")] = False,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Write devices with their status and tags to a file that `devices import` reads back.

    Example: edgeyard devices export devices.csv --where "tags.building = 'B1'"
    """
    chosen = _kind(file, kind)
    condition = selected(where, group, groups)
    records = run_async(_collect(find_hub(hub, home=home), condition, desired, keys))
    text = write_devices(records, chosen)
    if file == STDIO:
        print(text, end="")
        return
    try:
        if keys:
            write_private(file.absolute(), text.encode())
        else:
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from None
    print_note(f"{len(records)} devices in {file}")


def _kind(file: Path, kind: FormatName | None) -> Any:
    if kind is not None:
        return kind.value
    return "csv" if file == STDIO else format_of(file)


def _read(file: Path, kind: FormatName | None) -> DeviceFile:
    if file == STDIO:
        return parse_devices(sys.stdin.read(), _kind(file, kind))
    return read_devices(file, _kind(file, kind))


async def _plan(target: TargetHub, devices: DeviceFile) -> ImportPlan:
    async with target.service() as service:
        return await plan_import(service, devices.records, devices.errors)


async def _carry_out(target: TargetHub, plan: ImportPlan) -> list[LineError]:
    async with target.service() as service:
        with progress_bar("devices", sum(len(list(device.items())) for device in plan.changes)) as show:
            return await carry_out(service, plan, on_progress=show)


async def _collect(target: TargetHub, condition: str, desired: bool, keys: bool) -> list[DeviceRecord]:
    async with target.service() as service:
        with progress_bar("devices") as show:
            return await collect_records(service, condition, desired=desired, keys=keys, on_progress=show)


def _print_plan(plan: ImportPlan, target: TargetHub) -> None:
    counts = ", ".join(f"{number} {action.value}" for action in Action if (number := plan.count(action)))
    stdout.print(f"{target.host_name}: {counts or 'nothing to do'}", markup=False)
    shown = plan.changes[:SHOWN]
    if shown:
        print_table(("LINE", "DEVICE", "TO DO"), ((d.record.line, d.record.device_id, d.action.value) for d in shown))
    if len(plan.changes) > SHOWN:
        stdout.print(f"and {len(plan.changes) - SHOWN} more")


def _print_result(plan: ImportPlan, failed: list[LineError], output: Output, *, dry_run: bool) -> None:
    errors = [*plan.errors, *failed]
    if output is Output.JSON:
        print_json(
            {
                "planned": {action.value: plan.count(action) for action in Action},
                "done": 0 if dry_run else len(plan.changes) - _devices_in(failed),
                "errors": [{"line": e.line, "deviceId": e.device_id, "message": e.message} for e in errors],
            }
        )
        return
    for error in errors:
        print_note(str(error))
    if dry_run:
        print_note("Nothing was changed (--dry-run).")
    elif plan.changes:
        stdout.print(f"{len(plan.changes) - _devices_in(failed)} devices done, {len(errors)} lines failed")


def _devices_in(failed: list[LineError]) -> int:
    return len({error.device_id for error in failed})


def _exit_code(plan: ImportPlan, failed: list[LineError]) -> int:
    """Whether anything of the file was, or is now, as it says."""
    if not plan.errors and not failed:
        return 0
    if not plan.devices:
        return WRONG_USE
    return PARTLY if _devices_in(failed) < len(plan.devices) else FAILED
