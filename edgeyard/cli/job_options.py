"""Options that the commands of `edgeyard job` share, and the job that they make."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeyard.cli.hubs import TargetHub
from hub_tools.assignments import parse_assignments
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.job_file import job_from_values, read_job_file
from hub_tools.jobs.throttles import Capacity
from iot_core.errors import InputError

__all__ = [
    "WHOLE",
    "AllOption",
    "BetweenOption",
    "BudgetOption",
    "C2dOption",
    "ConfirmOption",
    "DesiredOption",
    "DriftOption",
    "ExpiresOption",
    "FileArgument",
    "GroupOption",
    "GroupsOption",
    "MethodOption",
    "PathOption",
    "PayloadOption",
    "PlanOption",
    "ReasonOption",
    "SchemaOption",
    "StartOption",
    "TagOption",
    "TierOption",
    "TzOption",
    "WhereOption",
    "capacity_of",
    "drift_of",
    "job_of",
    "share_of",
]

WHOLE = "100%"
FileArgument = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="A job in YAML, JSON or Python instead of options.", show_default=False),
]
WhereOption = Annotated[
    str | None, typer.Option(help="The devices: the part of a query after WHERE.", show_default=False)
]
GroupOption = Annotated[str | None, typer.Option(help="The devices: a group by its name.", show_default=False)]
GroupsOption = Annotated[Path, typer.Option(help="The file of groups.")]
AllOption = Annotated[bool, typer.Option("--all", help="The devices: every one of the hub.")]
DesiredOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE sets a desired property, NAME=null deletes it; may be repeated.", show_default=False),
]
TagOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE sets a tag, NAME=null deletes it; may be repeated.", show_default=False),
]
MethodOption = Annotated[str | None, typer.Option(help="Call this direct method.", show_default=False)]
PayloadOption = Annotated[str | None, typer.Option(help="JSON for the method.", show_default=False)]
C2dOption = Annotated[
    str | None, typer.Option("--c2d", help="Send a cloud-to-device message with this body.", show_default=False)
]
ConfirmOption = Annotated[
    str | None,
    typer.Option(help='A device has followed when this holds: "properties.reported.x = 5".', show_default=False),
]
StartOption = Annotated[
    str | None, typer.Option(help="Not before 2026-03-01T02:00:00Z, or 30m, 2h from now.", show_default=False)
]
ExpiresOption = Annotated[
    str | None, typer.Option(help="Write nothing more after this time, or 2h, 1d from now.", show_default=False)
]
BetweenOption = Annotated[str | None, typer.Option(help="Write only in these hours: 02:00-05:00.", show_default=False)]
TzOption = Annotated[
    str | None, typer.Option("--tz", help="Time zone of --between, such as Europe/Berlin; default UTC.")
]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the journal.", show_default=False)]
SchemaOption = Annotated[
    str | None,
    typer.Option(
        help="Settings schema of the devices: a name in deployments/schemas, a file, or none. Default: found by names.",
        show_default=False,
    ),
]
TierOption = Annotated[
    str | None,
    typer.Option(help="The hub's tier and units, such as S2:10; not needed for a local hub.", show_default=False),
]
BudgetOption = Annotated[str, typer.Option(help="Share of the throttles that the job may take.")]
PlanOption = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="What job plan --out wrote.", show_default=False)
]
DriftOption = Annotated[str, typer.Option(help="Share of other devices than the plan's that is still allowed.")]
PathOption = Annotated[
    str | None,
    typer.Option(help="jobs, direct or bulk. Default: the fastest by the throttles.", show_default=False),
]


def job_of(
    *,
    file: Path | None,
    where: str | None,
    group: str | None,
    groups: Path,
    every: bool,
    desired: list[str] | None,
    tag: list[str] | None,
    method: str | None,
    payload: str | None,
    c2d: str | None,
    confirm: str | None,
    no_wait: bool,
    start: str | None,
    expires: str | None,
    between: str | None,
    tz: str | None,
    reason: str | None,
    made: JobSpec | None = None,
) -> JobSpec:
    """The job of the options, or of the file (`made`: as it was read); InputError, also for both."""
    values: dict[str, Any] = {
        "where": where,
        "group": group,
        "all": every,
        "desired": parse_assignments(desired or [], "--desired"),
        "tags": parse_assignments(tag or [], "--tag"),
        "method": method,
        "payload": _payload(payload),
        "c2d": c2d,
        "confirm": confirm,
        "start": start,
        "expires": expires,
        "between": between,
        "tz": tz,
        "reason": reason,
    }
    values = {name: value for name, value in values.items() if value not in (None, False, {})}
    if file is not None:
        if values:
            raise InputError(f"{file} says what the job is: leave out --{min(values)}")
        spec = made or read_job_file(file, now=time.time())
        return replace(spec, wait=False) if no_wait else spec
    return job_from_values({**values, "groups": groups, "wait": not no_wait}, now=time.time())


def capacity_of(target: TargetHub, tier: str | None, budget: str) -> Capacity | None:
    """The hub's throttles: of `tier`, else asked for; None for a local hub, which has none."""
    share = share_of(budget)
    if tier is None and target.local:
        return None
    if tier is None:
        if not sys.stdin.isatty():
            host = target.host_name
            raise InputError(f"how fast {host} may be used depends on its tier and units: give --tier S2:10, say")
        tier = typer.prompt("Tier and units of the hub (such as S2:10)", err=True)
    return Capacity.parse(tier, share=share)


def share_of(text: str) -> float:
    """`50%` as 0.5; InputError."""
    share = _share(text)
    if not 0 < share <= 1:
        raise InputError(f"--budget {text}: write a share such as 50%")
    return share


def drift_of(text: str) -> float:
    """`5%` as 0.05, and none at all as 0; InputError."""
    share = _share(text)
    if not 0 <= share <= 1:
        raise InputError(f"--max-drift {text}: write a share such as 5%")
    return share


def _share(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        return -1.0


def _payload(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"--payload is not JSON: {error}") from error
