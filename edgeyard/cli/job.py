"""`edgeyard job`: one change for every device that a query matches."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json, stderr, stdout
from hub_tools.assignments import parse_assignments
from hub_tools.jobs import JobProgress, JobReport, Phase, TwinUpdate, run_twin_job
from hub_tools.rest import RestHubService

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Bulk twin updates by IoT Hub jobs.")

SHOWN_DEVICES = 10
"""Devices named in a summary before it says how many more there are."""


@app.callback()
def _group() -> None:
    """Keeps `run` a subcommand while it is the only one."""


@app.command()
def run(
    where: Annotated[str, typer.Option(help="Condition of a query, after WHERE; '*' for all devices.")],
    desired: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated.", show_default=False)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for devices to acknowledge.", min=0)] = 60.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End when the hub has written all twins.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Set desired properties or tags on every matching device and wait until the devices acknowledge.

    Example: edgeyard job run --where "tags.building = 'B1'" --desired reportingInterval=2

    Exit codes: 0 all acknowledged, 1 failed, 2 wrong use, 3 some devices refused or stayed silent.
    """
    update = TwinUpdate(
        where=where,
        desired=parse_assignments(desired or [], "--desired"),
        tags=parse_assignments(tag or [], "--tag"),
    )
    target = find_hub(hub, home=home)
    confirm_change(target, f"change every device where {where}", yes=yes)
    report = run_async(_run(target, update, None if no_wait else timeout))
    if output is Output.JSON:
        print_json(_as_json(report))
    else:
        _print_report(report, waited=not no_wait and bool(update.desired))
    if not report.complete:
        raise typer.Exit(PARTLY if report.written and report.acknowledged else FAILED)


async def _run(target: TargetHub, update: TwinUpdate, timeout_s: float | None) -> JobReport:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        with Progress(*columns, console=stderr, transient=True) as progress:
            written = progress.add_task("hub writes the twins", total=None)
            acknowledged = progress.add_task("devices acknowledge", total=None)

            def show(state: JobProgress) -> None:
                progress.update(written, total=state.matched, completed=state.written + state.failed)
                if state.phase is not Phase.HUB:
                    progress.update(acknowledged, total=state.matched, completed=state.acknowledged + state.refused)

            return await run_twin_job(service, update, on_progress=show, acknowledgement_timeout_s=timeout_s)


def _as_json(report: JobReport) -> dict[str, object]:
    return {
        "jobId": report.job_id,
        "matched": report.matched,
        "written": report.written,
        "failed": report.failed,
        "acknowledged": report.acknowledged,
        "refused": dict(report.refused),
        "silent": list(report.silent),
    }


def _print_report(report: JobReport, *, waited: bool) -> None:
    stdout.print(f"{report.job_id}: {report.matched} devices matched, {report.written} written, {report.failed} failed")
    if not waited:
        return
    stdout.print(f"{report.acknowledged} acknowledged, {len(report.refused)} refused, {len(report.silent)} silent")
    for device, reason in sorted(report.refused.items())[:SHOWN_DEVICES]:
        stdout.print(f"  {device} refused {reason}", markup=False)
    for device in report.silent[:SHOWN_DEVICES]:
        stdout.print(f"  {device} is silent: not connected, or it does not acknowledge its settings", markup=False)
    rest = max(0, len(report.refused) - SHOWN_DEVICES) + max(0, len(report.silent) - SHOWN_DEVICES)
    if rest:
        stdout.print(f"  and {rest} more; all of them with --output json")
