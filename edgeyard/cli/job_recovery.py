"""`edgeyard job resume`, `retry`, `undo` and `explain`: what a journal makes possible."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer
from rich.progress import Progress

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_options import BudgetOption, TierOption, capacity_of
from edgeyard.cli.job_render import describe, print_line, print_report
from edgeyard.cli.job_rollout import check_waves
from edgeyard.cli.job_run import PATH_NOTE, Shown, progress_columns, sender, stopping
from edgeyard.cli.job_status import JobStatus
from edgeyard.cli.render import Output, print_json, print_note, stderr, stdout
from hub_tools.jobs.explain import Explanation
from hub_tools.jobs.explain import explain as explain_device
from hub_tools.jobs.forecast import DIRECT
from hub_tools.jobs.journal import Journal, JournalView
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.progress import JobReport
from hub_tools.jobs.resume import never_written, resume_job
from hub_tools.jobs.runner import run_job
from hub_tools.jobs.throttles import Capacity
from hub_tools.jobs.undo import UndoReport, undo_job
from iot_core.errors import InputError

__all__ = ["explain", "resume", "retry", "undo"]

WHOLE = "100%"
SHOWN_DEVICES = 10
JobArgument = Annotated[str, typer.Argument(metavar="JOB")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds to wait for devices to acknowledge.", min=0)]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")]


def resume(
    job_id: JobArgument,
    timeout: TimeoutOption = 60.0,
    tier: TierOption = None,
    budget: BudgetOption = WHOLE,
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Go on with a job that was cut off: no device is repeated, none is left out.

    Example: edgeyard job resume job-0123456789ab

    Exit codes: 0 all followed, 1 failed, 2 wrong use, 3 some devices did not follow.
    """
    _go_on(job_id, "resume", timeout, tier, budget, output, journal, hub, home, yes)


def retry(
    job_id: JobArgument,
    timeout: TimeoutOption = 60.0,
    tier: TierOption = None,
    budget: BudgetOption = WHOLE,
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Give the change again to the devices of a job that failed, refused it or said nothing, and to no others.

    Example: edgeyard job retry job-0123456789ab

    Exit codes: 0 all followed, 1 failed, 2 wrong use, 3 some devices did not follow.
    """
    _go_on(job_id, "retry", timeout, tier, budget, output, journal, hub, home, yes)


def undo(
    job_id: JobArgument,
    tier: TierOption = None,
    budget: BudgetOption = WHOLE,
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Put back what each device had before a job; leave alone, and list, what somebody changed since.

    Example: edgeyard job undo job-0123456789ab

    Exit codes: 0 all put back, 1 none, 2 wrong use, 3 some were left.
    """
    target = find_hub(hub, home=home)
    with open_jobs(journal, home) as jobs, Journal.open(jobs, job_id) as opened:
        _check_hub(opened, target)
        confirm_change(target, f"undo {job_id}: {describe(opened.head.spec)}", yes=yes)
        report = run_async(_undo(target, opened, capacity_of(target, tier, budget), bar=output is Output.TABLE))
    if output is Output.JSON:
        print_json(report.to_json())
    else:
        _print_undo(report)
    if not report.complete:
        raise typer.Exit(PARTLY if len(report.left) < report.counts.total() else FAILED)


def explain(
    job_id: JobArgument,
    device_id: Annotated[str, typer.Argument(metavar="DEVICE")],
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Say why a device did or did not get a job's change.

    Example: edgeyard job explain job-0123456789ab thermostat-1
    """
    target = find_hub(hub, home=home)

    async def ask(view: JournalView) -> Explanation:
        async with target.service() as service:
            return await explain_device(service, view, device_id)

    with open_jobs(journal, home) as jobs:
        view = JournalView.look(jobs, job_id)
        head, found = view.head, run_async(ask(view))
    if output is Output.JSON:
        print_json({"job": job_id, "operator": head.operator, "began": head.began, **found.to_json()})
        return
    began = f"{job_id}, begun by {head.operator} at {head.began[:19]}"
    stdout.print(f"{began}{f': {head.spec.reason}' if head.spec.reason else ''}", markup=False, soft_wrap=True)
    stdout.print(f"{device_id}: {found.why}", markup=False, soft_wrap=True)
    for name in found.now or found.previous or {}:
        before, now = (found.previous or {}).get(name), (found.now or {}).get(name)
        stdout.print(f"  {name}: {_value(before)} before, {_value(now)} now", markup=False, soft_wrap=True)


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _go_on(
    job_id: str,
    verb: str,
    timeout: float,
    tier: str | None,
    budget: str,
    output: Output,
    place: str | None,
    hub: str | None,
    home: Any,
    yes: bool,
) -> None:
    target = find_hub(hub, home=home)
    with open_jobs(place, home) as jobs, Journal.open(jobs, job_id) as journal:
        _check_hub(journal, target)
        check_waves(journal, verb)
        confirm_change(target, f"{verb} {job_id}: {describe(journal.head.spec)}", yes=yes)
        capacity = capacity_of(target, tier, budget)
        report = run_async(_carry_on(target, journal, capacity, timeout, verb == "retry", output is Output.JSON))
    if output is Output.JSON:
        print_line(report.to_json())
    else:
        print_report(report)
    if not report.complete:
        raise typer.Exit(PARTLY if report.partly else FAILED)


def _check_hub(journal: Journal, target: TargetHub) -> None:
    if journal.head.host_name not in ("", target.host_name):
        raise InputError(
            f"{journal.head.spec.job_id} was run on {journal.head.host_name}, and this is {target.host_name}"
        )


async def _carry_on(
    target: TargetHub,
    journal: Journal,
    capacity: Capacity | None,
    timeout_s: float,
    again: bool,
    lines: bool,
) -> JobReport:
    spec = journal.head.spec
    way = journal.last(PATH_NOTE)
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(target.service())
        status = JobStatus(journal.storage)
        stop = await stack.enter_async_context(stopping(status))
        send = await sender(target, stack) if spec.kind == "c2d" else None
        path = make_path(way.get("path", DIRECT), service, spec, capacity=capacity, send=send)
        common: dict[str, Any] = {
            "capacity": capacity,
            "timeout_s": timeout_s,
            "plain": bool(way.get("plain")),
            "on_progress": stack.enter_context(Shown(lines, status)),
            "stop": stop,
        }
        if never_written(journal):
            journal.start_over()
            journal.note(PATH_NOTE, path=path.name, plain=common["plain"])
            report = await run_job(service, spec, path, journal=journal, **common)
        else:
            report = await resume_job(service, journal, path, retry=again, **common)
        status.write(report.to_json())
        return report


async def _undo(target: TargetHub, journal: Journal, capacity: Capacity | None, *, bar: bool) -> UndoReport:
    async with target.service() as service, stopping(JobStatus(journal.storage)) as stop:
        with Progress(*progress_columns(), console=stderr, transient=True, disable=not bar) as progress:
            task = progress.add_task("puts back", total=None)

            def show(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return await undo_job(service, journal, capacity=capacity, on_progress=show, stop=stop)


def _print_undo(report: UndoReport) -> None:
    counts = ", ".join(f"{number:,} {result.value}" for result, number in report.counts.items()) or "nothing to undo"
    stdout.print(f"{report.job_id}: {counts}", markup=False)
    for device_id, reason in list(report.left.items())[:SHOWN_DEVICES]:
        stdout.print(f"  {device_id}: {reason}", markup=False, soft_wrap=True)
    if len(report.left) > SHOWN_DEVICES:
        print_note(f"and {len(report.left) - SHOWN_DEVICES:,} more; all of them with --output json")
