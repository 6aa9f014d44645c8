"""Runs a job for `edgeyard job run`: asks where that is due, shows how it goes, and hears when it shall stop."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgeyard.cli.exits import FAILED
from edgeyard.cli.hubs import TargetHub, confirm_change
from edgeyard.cli.job_render import describe, overlap_lines, print_line, progress_text
from edgeyard.cli.job_status import JobStatus
from edgeyard.cli.render import print_note, stderr
from hub_tools.jobs.forecast import Plan
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.paths import SendMessage, make_path
from hub_tools.jobs.planning import make_plan
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.progress import JobProgress, JobReport, Phase
from hub_tools.jobs.runner import run_job
from hub_tools.jobs.storage import Jobs, storage_of
from hub_tools.jobs.throttles import Capacity
from iot_core.errors import InputError, StoreError

__all__ = ["MANY_DEVICES", "PATH_NOTE", "Order", "Shown", "progress_columns", "sender", "stopping"]

MANY_DEVICES = 100
"""From so many on, a hub that is not local wants the number typed back, and `--yes` a plan that somebody could read."""
PATH_NOTE = "way"
"""The note in a journal that says by which path a job goes, and how devices acknowledge it."""
LINE_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job to run on a hub, with what the operator said about it."""

    target: TargetHub
    spec: JobSpec
    capacity: Capacity | None
    checked: str
    path: str | None
    planned: Sketch | None
    drift: float
    timeout_s: float
    yes: bool
    lines: bool
    jobs: Path | Jobs

    async def carry_out(self) -> JobReport:
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(self.target.service())
            found = await make_plan(
                service,
                self.spec,
                capacity=self.capacity,
                checked=self.checked,
                path=self.path,
                quick=True,
                jobs=self.jobs,
            )
            self._tell_overlaps(found)
            self.agree(found.matched)
            status = JobStatus(storage_of(self.jobs, self.spec.job_id))
            stop = await stack.enter_async_context(stopping(status))
            send = await sender(self.target, stack) if self.spec.kind == "c2d" else None
            plain = found.convention == "reported value"
            journal = stack.enter_context(Journal.create(self.jobs, self.spec, host_name=self.target.host_name))
            journal.note(PATH_NOTE, path=found.path, plain=plain)
            report = await run_job(
                service,
                self.spec,
                make_path(found.path, service, self.spec, capacity=self.capacity, send=send),
                capacity=self.capacity,
                timeout_s=self.timeout_s,
                plain=plain,
                journal=journal,
                planned=self.planned,
                most_drift=self.drift,
                on_progress=stack.enter_context(Shown(self.lines, status)),
                stop=stop,
            )
            status.write(report.to_json())
            return report

    def _tell_overlaps(self, found: Plan) -> None:
        if self.lines and found.overlaps:
            print_line({"event": "overlaps", "overlaps": [each.to_json() for each in found.overlaps]})
        elif found.overlaps:
            print_note("\n".join(overlap_lines(found.overlaps)))

    def agree(self, matched: int) -> None:
        what = f"{describe(self.spec)} on {matched:,} devices"
        if self.target.local or matched < MANY_DEVICES:
            confirm_change(self.target, what, yes=self.yes)
            return
        if self.yes and self.planned is None:
            raise InputError(
                f"this would {what} on {self.target.host_name}: for {MANY_DEVICES} devices or more --yes needs --plan, "
                "made by edgeyard job plan --out"
            )
        if not self.yes:
            _type_back(self.target, what, matched)


async def sender(target: TargetHub, stack: AsyncExitStack) -> SendMessage:
    """Sends messages to devices until the stack is left."""
    from hub_tools.cloud_to_device import CloudMessage, CloudToDevice

    link = CloudToDevice(target.credential(), ca_file=target.ca_file)
    await stack.enter_async_context(link)

    async def send(device_id: str, body: str) -> None:
        await link.send(device_id, CloudMessage(body=body.encode()))

    return send


@asynccontextmanager
async def stopping(status: JobStatus) -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C sets, and `edgeyard job cancel` elsewhere."""
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)

    async def look() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), status.look_every_s)
            with suppress(StoreError):  # the journal itself says so when its place is gone
                if await asyncio.to_thread(status.asked_to_stop) is not None:
                    stop.set()

    status.forget_stop()
    looking = asyncio.create_task(look())
    try:
        yield stop
    finally:
        looking.cancel()
        status.forget_stop()
        with suppress(NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def _type_back(target: TargetHub, what: str, matched: int) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"this would {what} on {target.host_name}: nobody can be asked, so give --plan and --yes")
    stderr.print(f"This will {what} on {target.host_name}, which is not a local hub.", markup=False, soft_wrap=True)
    answer = typer.prompt("Type the number of devices to go on", err=True)
    if str(answer).replace(",", "").strip() != str(matched):
        print_note("Nothing was changed.")
        raise typer.Exit(FAILED)


class Shown:
    """Progress as a bar, or as lines of JSON; and for other terminals in a file."""

    def __init__(self, lines: bool, status: JobStatus) -> None:
        self._lines = lines
        self._status = status
        self._bar = Progress(*progress_columns(), console=stderr, transient=True, disable=lines)
        self._task = self._bar.add_task("starts", total=None)
        self._last: tuple[Phase | None, float] = (None, 0.0)

    def __enter__(self) -> Callable[[JobProgress], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def _show(self, progress: JobProgress) -> None:
        phase, at = self._last
        if progress.phase is not phase or time.monotonic() - at >= max(LINE_EVERY_S, self._status.look_every_s):
            self._last = (progress.phase, time.monotonic())
            self._status.write(progress.to_json())
            if self._lines:
                print_line(progress.to_json())
        waiting = sum(progress.states.get(state, 0) for state in progress.states if state in ("pending", "scheduled"))
        self._bar.update(
            self._task,
            description=progress_text(progress),
            total=progress.matched or None,
            completed=progress.matched - waiting,
        )


def progress_columns() -> tuple[Any, ...]:
    """Of a bar that counts devices."""
    return (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
