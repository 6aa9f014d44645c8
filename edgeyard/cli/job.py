"""`edgeyard job`: one change for every device that a query matches, forecast first and followed to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, YesOption, find_hub, run_async
from edgeyard.cli.job_journals import JournalOption, open_jobs
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
from edgeyard.cli.job_recovery import explain, resume, retry, undo
from edgeyard.cli.job_render import print_line, print_plan, print_report
from edgeyard.cli.job_rollout import rollout
from edgeyard.cli.job_run import Order, progress_columns
from edgeyard.cli.job_watch import cancel, list_jobs, watch
from edgeyard.cli.render import Output, print_json, print_note, stderr
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.planning import make_plan, read_plan
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.settings_check import check_values
from iot_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="One change for every device that a query matches.")
app.command("list")(list_jobs)
app.command()(watch)
app.command()(cancel)
app.command()(rollout)
app.command()(resume)
app.command()(retry)
app.command()(undo)
app.command()(explain)

WHOLE = "100%"
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
    budget: BudgetOption = WHOLE,
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
            with Progress(*progress_columns(), console=stderr, transient=True) as progress:
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
    budget: BudgetOption = WHOLE,
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
    journal: JournalOption = None,
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
        budget = budget if budget != WHOLE else f"{document.get('budget', 1.0):%}"
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
    with open_jobs(journal, home) as jobs:
        order = Order(
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
            jobs=jobs,
        )
        report = run_async(order.carry_out())
    if output is Output.JSON:
        print_line(report.to_json())
    else:
        print_report(report)
    if not report.complete:
        raise typer.Exit(PARTLY if report.partly else FAILED)


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
