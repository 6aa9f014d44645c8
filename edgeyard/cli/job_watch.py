"""`edgeyard job list`, `watch` and `cancel`: look at jobs from anywhere, and stop one."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgeyard.cli.exits import DONE, FAILED, PARTLY
from edgeyard.cli.hubs import (
    HomeOption,
    HubOption,
    TargetHub,
    YesOption,
    confirm_change,
    find_hub,
    run_async,
)
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_render import print_line
from edgeyard.cli.job_status import JobStatus, Request
from edgeyard.cli.render import Output, print_json, print_note, print_table, stderr, stdout
from hub_tools.jobs.overview import HubJob, cancel_parts, hub_jobs
from hub_tools.jobs.storage import storage_of
from iot_core.errors import InputError

__all__ = ["cancel", "list_jobs", "watch"]

LOOK_S = 1.0
JobArgument = Annotated[str, typer.Argument(metavar="JOB")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")]


def list_jobs(output: OutputOption = Output.TABLE, hub: HubOption = None, home: HomeOption = None) -> None:
    """Print the jobs that the hub's job service knows, the newest first.

    Example: edgeyard job list
    """
    jobs = run_async(_jobs(find_hub(hub, home=home)))
    if output is Output.JSON:
        print_json([job.to_json() for job in jobs])
        return
    columns = ("JOB", "TYPE", "STATUS", "DEVICES", "PENDING", "SUCCEEDED", "FAILED", "CREATED")
    print_table(
        columns,
        (
            (job.job_id, job.type, job.status, job.devices, job.pending, job.succeeded, job.failed, job.created[:19])
            for job in jobs
        ),
    )


def watch(
    job_id: JobArgument,
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Follow a job until it ends: by what its run says beside its journal, or else by the hub's job service.

    Example: edgeyard job watch job-0123456789ab

    Exit codes: 0 all devices done, 1 failed, 2 no such job, 3 some devices failed.
    """
    lines = output is Output.JSON
    with open_jobs(journal, home) as jobs:
        status = JobStatus(storage_of(jobs, job_id))
        if status.read() is not None:
            code = run_async(_watch_run(status, job_id, lines=lines))
        else:
            code = run_async(_watch_hub(find_hub(hub, home=home), job_id, lines=lines))
    if code:
        raise typer.Exit(code)


def cancel(
    job_id: JobArgument,
    output: OutputOption = Output.TABLE,
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Stop a job at once and say what had happened by then.

    Example: edgeyard job cancel job-0123456789ab
    """
    target = find_hub(hub, home=home)
    confirm_change(target, f"cancel {job_id}", yes=yes)
    with open_jobs(journal, home) as jobs:
        JobStatus(storage_of(jobs, job_id)).ask_to_stop(Request.mine(None))
    job, cancelled, refused = run_async(_cancel(target, job_id))
    if output is Output.JSON:
        print_json({"job": job and job.to_json(), "cancelled": cancelled, "stillRunning": refused})
        return
    print_note("a run of this job that keeps its journal there stops before its next write")
    if job is None:
        stdout.print(f"{job_id}: the hub's job service has no part of it", markup=False)
        return
    done = f"{job.succeeded:,} of {job.devices:,} devices had been written, {job.failed:,} had failed"
    stdout.print(f"{job_id}: {len(cancelled)} of {len(job.parts)} parts cancelled; {done}", markup=False)
    for part, reason in refused.items():
        stdout.print(f"  {part} goes on to its end: {reason}", markup=False, soft_wrap=True)


async def _jobs(target: TargetHub) -> list[HubJob]:
    async with target.service() as service:
        return await hub_jobs(service)


async def _watch_run(status: JobStatus, job_id: str, *, lines: bool) -> int:
    """Follow what a run writes down; the exit code that it had."""
    with _bar(lines) as progress:
        task = progress.add_task(job_id, total=None)
        shown: float = 0.0
        while True:
            line = await asyncio.to_thread(status.read) or {}
            if lines and line.get("at") != shown:
                print_line(line)
            shown = line.get("at", shown)
            states = line.get("states", {})
            text = ", ".join(f"{number:,} {state}" for state, number in states.items())
            place = f"wave {line['wave']} of {line['of']}, {line['state']}" if "wave" in line else line.get("phase", "")
            left = sum(states.get(state, 0) for state in ("pending", "scheduled"))
            matched = line.get("matched") or 0
            progress.update(task, description=f"{place}: {text}", total=matched or None, completed=matched - left)
            if line.get("event") == "report":
                break
            await asyncio.sleep(LOOK_S)
    if not lines:
        why = f": {line['cause']}" if line.get("cause") else ""
        stdout.print(f"{job_id}: {matched:,} devices: {text}{f'; {place}{why}' if why else ''}", markup=False)
    if line.get("complete"):
        return DONE
    return PARTLY if line.get("partly") else FAILED


async def _watch_hub(target: TargetHub, job_id: str, *, lines: bool) -> int:
    """Follow the counts of the hub's job service; the exit code for them."""
    async with target.service() as service:
        with _bar(lines) as progress:
            task = progress.add_task(job_id, total=None)
            while True:
                job = next((each for each in await hub_jobs(service) if each.job_id == job_id), None)
                if job is None:
                    raise InputError(
                        f"neither its journal nor the hub's job service knows {job_id}: edgeyard job list, or --journal"
                    )
                progress.update(
                    task, description=job.status, total=job.devices or None, completed=job.succeeded + job.failed
                )
                if lines:
                    print_line(job.to_json())
                if job.ended:
                    break
                await asyncio.sleep(LOOK_S)
    if not lines:
        done = f"{job.succeeded:,} succeeded, {job.failed:,} failed, {job.pending:,} pending"
        stdout.print(f"{job.job_id}: {job.status}: {job.devices:,} devices, {done}", markup=False)
    if job.status == "completed" and not job.failed:
        return DONE
    return PARTLY if job.succeeded else FAILED


def _bar(lines: bool) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=stderr, transient=True, disable=lines)


async def _cancel(target: TargetHub, job_id: str) -> tuple[HubJob | None, list[str], dict[str, str]]:
    async with target.service() as service:
        job = next((each for each in await hub_jobs(service) if each.job_id == job_id), None)
        if job is None:
            return None, [], {}
        cancelled, refused = await cancel_parts(service, job)
        again = next((each for each in await hub_jobs(service) if each.job_id == job_id), job)
        return again, cancelled, refused
