"""`edgeyard job`: one change for every device that a query matches, forecast first and followed to its end."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.job_options import (
    AllOption,
    BetweenOption,
    BudgetOption,
    C2dOption,
    ConfirmOption,
    DesiredOption,
    ExpiresOption,
    FileArgument,
    GroupOption,
    GroupsOption,
    MethodOption,
    PathOption,
    PayloadOption,
    ReasonOption,
    SchemaOption,
    StartOption,
    TagOption,
    TierOption,
    TzOption,
    WhereOption,
    capacity_of,
    job_of,
)
from edgeyard.cli.job_render import describe, print_line, print_plan, print_report, progress_text
from edgeyard.cli.job_status import StatusFile
from edgeyard.cli.job_watch import cancel, jobs_folder, list_jobs, stop_file, watch
from edgeyard.cli.render import Output, print_json, print_note, stderr
from hub_tools.cloud_to_device import CloudMessage, CloudToDevice
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.paths import SendMessage, make_path
from hub_tools.jobs.planning import make_plan, read_plan
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.runner import JobProgress, JobReport, Phase, run_job
from hub_tools.jobs.settings_check import check_values
from hub_tools.jobs.throttles import Capacity
from iot_core.errors import InputError

__all__ = ["app", "stopping"]

app = typer.Typer(no_args_is_help=True, help="One change for every device that a query matches.")
app.command("list")(list_jobs)
app.command()(watch)
app.command()(cancel)

MANY_DEVICES = 100
"""From so many on, a hub that is not local wants the number typed back, and `--yes` a plan that somebody could read."""
LINE_EVERY_S = 0.5
STOP_LOOK_S = 0.25
PLAN_BYTES = 5_000_000


@app.command()
def plan(
    file: FileArgument = None,
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsOption = Path("groups.yaml"),
    every: AllOption = False,
    desired: DesiredOption = None,
    tag: TagOption = None,
    method: MethodOption = None,
    payload: PayloadOption = None,
    c2d: C2dOption = None,
    confirm: ConfirmOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Reckon without acknowledgements.")] = False,
    start: StartOption = None,
    expires: ExpiresOption = None,
    between: BetweenOption = None,
    tz: TzOption = None,
    reason: ReasonOption = None,
    schema: SchemaOption = None,
    tier: TierOption = None,
    budget: BudgetOption = "100%",
    path: PathOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Count, and read one page of devices only.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, for run --plan.", show_default=False)] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Tell what a job would do, how long it would take and what it would cost; change nothing.

    Example: edgeyard job plan --where "tags.building = 'B1'" --desired reportingInterval=5 --tier S2:10 --out plan.json
    """
    spec = job_of(
        file=file,
        where=where,
        group=group,
        groups=groups,
        every=every,
        desired=desired,
        tag=tag,
        method=method,
        payload=payload,
        c2d=c2d,
        confirm=confirm,
        no_wait=no_wait,
        start=start,
        expires=expires,
        between=between,
        tz=tz,
        reason=reason,
    )
    checked = check_values(spec, schema)
    if out is not None and quick:
        raise InputError("--out writes which devices were matched, and --quick does not read them all: leave one out")
    target = find_hub(hub, home=home)
    capacity = capacity_of(target, tier, budget)

    async def forecast() -> Any:
        async with target.service() as service:
            with Progress(*_columns(), console=stderr, transient=True) as progress:
                task = progress.add_task("reads the devices", total=None)
                return await make_plan(
                    service,
                    spec,
                    capacity=capacity,
                    checked=checked,
                    path=path,
                    quick=quick,
                    on_page=lambda seen, matched: progress.update(task, completed=seen, total=matched),
                )

    found = run_async(forecast())
    if out is not None:
        out.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    if output is Output.JSON:
        print_json(found.to_json())
    else:
        print_plan(found)
        if out is not None:
            print_note(f"written to {out}; run it with: edgeyard job run --plan {out}")


@app.command()
def run(
    file: FileArgument = None,
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsOption = Path("groups.yaml"),
    every: AllOption = False,
    desired: DesiredOption = None,
    tag: TagOption = None,
    method: MethodOption = None,
    payload: PayloadOption = None,
    c2d: C2dOption = None,
    confirm: ConfirmOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="End when all devices have been written to.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that connected devices have to acknowledge.", min=0)] = 60.0,
    start: StartOption = None,
    expires: ExpiresOption = None,
    between: BetweenOption = None,
    tz: TzOption = None,
    reason: ReasonOption = None,
    schema: SchemaOption = None,
    tier: TierOption = None,
    budget: BudgetOption = "100%",
    path: PathOption = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Run what job plan --out wrote.", show_default=False)
    ] = None,
    max_drift: Annotated[
        str, typer.Option(help="Share of other devices than the plan's that is still allowed.")
    ] = "1%",
    output: Annotated[Output, typer.Option("--output", "-o", help="Table, or one line of JSON for each event.")] = (
        Output.TABLE
    ),
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Change every matching device and wait until the connected ones acknowledge.

    Example: edgeyard job run --where "tags.building = 'B1'" --desired reportingInterval=2

    Exit codes: 0 all followed, 1 failed, 2 wrong use, 3 some devices did not follow.
    """
    given = (file, where, group, every or None, desired, tag, method, payload, c2d, confirm, start, expires, between)
    planned: Sketch | None = None
    if plan_file is not None:
        if any(value is not None for value in given):
            raise InputError("--plan says what the job is: leave out what the plan holds already")
        spec, planned, document = _plan_of(plan_file)
        tier, path = tier or document.get("tier"), path or document.get("path")
    else:
        spec = job_of(
            file=file,
            where=where,
            group=group,
            groups=groups,
            every=every,
            desired=desired,
            tag=tag,
            method=method,
            payload=payload,
            c2d=c2d,
            confirm=confirm,
            no_wait=no_wait,
            start=start,
            expires=expires,
            between=between,
            tz=tz,
            reason=reason,
        )
    checked = check_values(spec, schema)
    target = find_hub(hub, home=home)
    if plan_file is not None and document.get("hub") != target.host_name:
        raise InputError(f"the plan was made for {document.get('hub')}, and this is {target.host_name}")
    capacity = capacity_of(target, tier, budget)
    drift = _share(max_drift)
    order = _Order(
        target=target,
        spec=spec,
        capacity=capacity,
        checked=checked,
        path=path,
        planned=planned,
        drift=drift,
        timeout_s=timeout,
        yes=yes,
        lines=output is Output.JSON,
        folder=jobs_folder(home),
    )
    report = run_async(order.carry_out())
    if output is Output.JSON:
        print_line(report.to_json())
    else:
        print_report(report)
    if not report.complete:
        raise typer.Exit(PARTLY if report.partly else FAILED)


@dataclass(frozen=True, kw_only=True)
class _Order:
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
    folder: Path

    async def carry_out(self) -> JobReport:
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(self.target.service())
            found = await make_plan(
                service, self.spec, capacity=self.capacity, checked=self.checked, path=self.path, quick=True
            )
            self._agree(found.matched)
            stop = await stack.enter_async_context(stopping(stop_file(self.folder, self.spec.job_id)))
            status = StatusFile(self.folder, self.spec.job_id)
            send = await self._sender(stack) if self.spec.kind == "c2d" else None
            report = await run_job(
                service,
                self.spec,
                make_path(found.path, service, self.spec, capacity=self.capacity, send=send),
                capacity=self.capacity,
                timeout_s=self.timeout_s,
                plain=found.convention == "reported value",
                planned=self.planned,
                most_drift=self.drift,
                on_progress=stack.enter_context(_Shown(self.lines, status)),
                stop=stop,
            )
            status.write(report.to_json())
            return report

    def _agree(self, matched: int) -> None:
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

    async def _sender(self, stack: AsyncExitStack) -> SendMessage:
        link = CloudToDevice(self.target.credential(), ca_file=self.target.ca_file)
        await stack.enter_async_context(link)

        async def send(device_id: str, body: str) -> None:
            await link.send(device_id, CloudMessage(body=body.encode()))

        return send


@asynccontextmanager
async def stopping(file: Path) -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C sets, and the appearance of a file, by which another terminal asks for it."""
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)

    async def look() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), STOP_LOOK_S)
            if _is_there(file):
                stop.set()

    _remove(file)
    looking = asyncio.create_task(look())
    try:
        yield stop
    finally:
        looking.cancel()
        _remove(file)
        with suppress(NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def _is_there(file: Path) -> bool:
    return file.exists()


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _type_back(target: TargetHub, what: str, matched: int) -> None:
    import sys

    if not sys.stdin.isatty():
        raise InputError(f"this would {what} on {target.host_name}: nobody can be asked, so give --plan and --yes")
    stderr.print(f"This will {what} on {target.host_name}, which is not a local hub.", markup=False, soft_wrap=True)
    answer = typer.prompt("Type the number of devices to go on", err=True)
    if str(answer).replace(",", "").strip() != str(matched):
        print_note("Nothing was changed.")
        raise typer.Exit(FAILED)


class _Shown:
    """Progress as a bar, or as lines of JSON; and for other terminals in a file."""

    def __init__(self, lines: bool, status: StatusFile) -> None:
        self._lines = lines
        self._status = status
        self._bar = Progress(*_columns(), console=stderr, transient=True, disable=lines)
        self._task = self._bar.add_task("starts", total=None)
        self._last: tuple[Phase | None, float] = (None, 0.0)

    def __enter__(self) -> Callable[[JobProgress], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def _show(self, progress: JobProgress) -> None:
        phase, at = self._last
        if progress.phase is not phase or time.monotonic() - at >= LINE_EVERY_S:
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


def _columns() -> tuple[Any, ...]:
    return (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )


def _plan_of(file: Path) -> tuple[JobSpec, Sketch, dict[str, Any]]:
    try:
        if file.stat().st_size > PLAN_BYTES:
            raise InputError(f"{file} is larger than {PLAN_BYTES} bytes: that is no plan")
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--plan {file} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"--plan {file}: this is no plan that `edgeyard job plan --out` wrote")
    return read_plan(document)


def _share(text: str) -> float:
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"--max-drift {text}: write a share such as 5%")
    return share
