"""`edgeyard c2d`: cloud-to-device messages, to one device or to a group."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from edgeyard.cli.aliases import like_az
from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.progress import progress_bar
from edgeyard.cli.render import Output, print_json, print_note, print_table
from edgeyard.cli.selection import (
    GROUPS_FILE,
    AllOption,
    GroupOption,
    GroupsFileOption,
    WhereOption,
    selected_for_change,
)
from hub_tools.cloud_to_device import CloudMessage, CloudToDevice
from hub_tools.concurrency import map_bounded
from hub_tools.groups import EVERY_DEVICE
from hub_tools.service import HubUnreachableError
from iot_core.c2d import Ack, Outcome
from iot_core.errors import EdgeyardError, HubError, InputError
from iot_core.identity import validate_device_id

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Send cloud-to-device messages.")

SENT_AT_ONCE = 20
SHOWN = 20
_AZ = {"--props": "--property", "-p": "--property", "--mid": "--message-id", "--cid": "--correlation-id"}


@app.callback()
def _group() -> None:
    """Keeps `send` a subcommand while it is the only one."""


@dataclass(kw_only=True)
class Sent:
    """What became of a message to one device: its error, or how it ended where that was awaited."""

    device_id: str
    message_id: str
    error: str = ""
    feedback: str = ""

    @property
    def good(self) -> bool:
        """Whether the hub took it, and no end is known but the good one."""
        return not self.error and self.feedback in ("", Outcome.SUCCESS)


@app.command(cls=like_az(options={**_AZ, "--device-id": "--to", "-d": "--to", "--data": "--body", "--da": "--body"}))
def send(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE] BODY", help="BODY alone with --group.", show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option(hidden=True)] = None,
    body: Annotated[str | None, typer.Option(hidden=True)] = None,
    group: GroupOption = None,
    where: WhereOption = None,
    groups: GroupsFileOption = GROUPS_FILE,
    every: AllOption = False,
    file: Annotated[
        Path | None, typer.Option("--body-file", help="The body is this file's bytes.", show_default=False)
    ] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", help="NAME=VALUE; may be repeated.", show_default=False)
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="Default: a new one a device.", show_default=False)] = None,
    correlation_id: Annotated[str | None, typer.Option(show_default=False)] = None,
    content_type: Annotated[str | None, typer.Option(help="Such as application/json.", show_default=False)] = None,
    expires_in: Annotated[
        float | None, typer.Option(min=1, help="Seconds until it is dropped. Default: the hub's.", show_default=False)
    ] = None,
    ack: Annotated[Ack, typer.Option(help="Which ends of it the hub shall tell by feedback.")] = Ack.NONE,
    wait_feedback: Annotated[
        bool, typer.Option("--wait-feedback", help="Wait until its end is known; asks for --ack full.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for feedback.")] = 60.0,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Send a message to a device, or with --group to every device of a group; the hub keeps it until it is fetched.

    Example: edgeyard c2d send thermostat-1 '{"text": "hello"}' --property kind=note --wait-feedback

    Exit codes: 0 sent (with --wait-feedback: received), 1 failed, 2 wrong use, 3 not to all devices.
    """
    given = [*([to] if to else []), *(words or []), *([body] if body is not None else [])]
    device_id, text = _recipient(given, many=every or group is not None or where is not None, has_file=file is not None)
    condition = None if device_id else selected_for_change(where, group, groups, every=every)
    message = CloudMessage(
        body=_bytes(file) if file is not None else text.encode(),
        properties=_properties(properties or []),
        message_id=message_id or str(uuid4()),
        correlation_id=correlation_id,
        content_type=content_type,
        expiry=None if expires_in is None else time.time() + expires_in,
        ack=Ack.FULL if wait_feedback else ack,
    )
    target = find_hub(hub, home=home)
    devices = [device_id] if device_id else run_async(_members(target, condition or EVERY_DEVICE))
    if not devices:
        raise InputError(f"no device matches: {condition}")
    confirm_change(target, f"send a message to {device_id or f'{len(devices)} devices'}", yes=yes)
    sent = run_async(_send(target, devices, message, message_id is None, timeout if wait_feedback else None))
    _print(sent, output, waited=wait_feedback)
    bad = sum(not each.good or (wait_feedback and not each.feedback) for each in sent)
    if bad:
        raise typer.Exit(PARTLY if bad < len(sent) else FAILED)


def _recipient(given: list[str], *, many: bool, has_file: bool) -> tuple[str, str]:
    """Device and body, as they were given; the device is empty for many."""
    wanted = (not many) + (not has_file)
    if len(given) != wanted:
        shape = " ".join([*(["DEVICE"] if not many else ["--group NAME"]), *(["BODY"] if not has_file else [])])
        raise InputError(f"write edgeyard c2d send {shape}: {len(given)} words were given where {wanted} belong")
    device_id = "" if many else validate_device_id(given[0])
    return device_id, "" if has_file else given[-1]


def _properties(assignments: list[str]) -> dict[str, str]:
    """Values are texts as they are; az's users write several in one, with semicolons."""
    pairs = [pair for assignment in assignments for pair in assignment.split(";")]
    if bad := next((pair for pair in pairs if not pair.partition("=")[0] or "=" not in pair), None):
        raise InputError(f"--property {bad}: write NAME=VALUE")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


async def _members(target: TargetHub, condition: str) -> list[str]:
    where = "" if condition == EVERY_DEVICE else f" WHERE {condition}"
    async with target.service() as service:
        return [str(row["deviceId"]) async for row in service.query(f"SELECT deviceId FROM devices{where}")]


async def _send(
    target: TargetHub, devices: list[str], message: CloudMessage, fresh_ids: bool, wait_s: float | None
) -> list[Sent]:
    """One message a device; with ids of their own, so that feedback tells them apart."""
    many = fresh_ids and len(devices) > 1
    messages = {device: replace(message, message_id=str(uuid4())) if many else message for device in devices}
    sent = [Sent(device_id=device, message_id=messages[device].message_id) for device in devices]
    async with CloudToDevice(target.credential(), ca_file=target.ca_file) as connection:
        waiting = asyncio.create_task(_await_feedback(connection, sent)) if wait_s is not None else None
        ended = 0
        with progress_bar("messages", len(devices)) as show:

            async def send_one(each: Sent) -> None:
                try:
                    await connection.send(each.device_id, messages[each.device_id])
                except HubUnreachableError:
                    raise
                except EdgeyardError as error:
                    if len(devices) == 1:
                        raise
                    each.error = error.name if isinstance(error, HubError) else str(error)
                nonlocal ended
                ended += 1
                show(ended)

            try:
                await map_bounded(send_one, sent, at_once=SENT_AT_ONCE)
                if waiting is not None:
                    await asyncio.wait({waiting}, timeout=wait_s)
            finally:
                if waiting is not None:
                    waiting.cancel()
    if waiting is not None and waiting.done() and not waiting.cancelled() and waiting.exception():
        raise waiting.exception() or AssertionError
    return sent


async def _await_feedback(connection: CloudToDevice, sent: list[Sent]) -> None:
    """Ends when every message that the hub took has ended."""
    by_key = {(each.message_id, each.device_id): each for each in sent}
    async for record in connection.feedback({each.message_id for each in sent}):
        if each := by_key.get((record.message_id, record.device_id)):
            each.feedback = record.status
        if all(one.feedback or one.error for one in sent):
            return


def _print(sent: list[Sent], output: Output, *, waited: bool) -> None:
    if output is Output.JSON:
        rows = [
            {"deviceId": each.device_id, "messageId": each.message_id, "error": each.error, "feedback": each.feedback}
            for each in sent
        ]
        print_json([{name: value for name, value in row.items() if value} for row in rows])
        return
    shown = sent if len(sent) == 1 else [each for each in sent if not each.good or (waited and not each.feedback)]
    rows_of = ((each.device_id, each.message_id, _end(each, waited=waited)) for each in shown[:SHOWN])
    if shown:
        print_table(("DEVICE", "MESSAGE", "STATE"), rows_of)
    if len(shown) > SHOWN:
        print_note(f"and {len(shown) - SHOWN} more; all of them with --output json")
    if len(sent) > 1:
        print_note(f"{sum(not each.error for each in sent)} of {len(sent)} messages sent")


def _end(each: Sent, *, waited: bool) -> str:
    return each.error or each.feedback or ("no feedback yet" if waited else "sent")
