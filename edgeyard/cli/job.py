"""`edgeyard job`: one change for every device that a query matches, forecast first and followed to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, YesOption, find_hub, run_async
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_options import (
    WHOLE,
    AllOption,
    BetweenOption,
    BudgetOption,
    C2dOption,
    ConfirmOption,
    DesiredOption,
    DriftOption,
    ExpiresOption,
    FileArgument,
    GroupOption,
    GroupsOption,
    MethodOption,
    PathOption,
    PayloadOption,
    PlanOption,
    ReasonOption,
    SchemaOption,
    StartOption,
    TagOption,
    TierOption,
    TzOption,
    WhereOption,
    capacity_of,
    drift_of,
    job_of,
)
from edgeyard.cli.job_orders import approve, pause
from edgeyard.cli.job_overview import journals
from edgeyard.cli.job_plan import check_plans_hub, job_of_plan, plan
from edgeyard.cli.job_recovery import explain, resume, retry, undo
from edgeyard.cli.job_render import print_line, print_report
from edgeyard.cli.job_rollout import rollout
from edgeyard.cli.job_run import Order
from edgeyard.cli.job_watch import cancel, list_jobs, watch
from edgeyard.cli.render import Output
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.settings_check import check_values
from iot_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="One change for every device that a query matches.")
app.command("list")(list_jobs)
app.command()(journals)
app.command()(watch)
app.command()(cancel)
app.command()(approve)
app.command()(pause)
app.command()(rollout)
app.command()(resume)
app.command()(retry)
app.command()(undo)
app.command()(explain)
app.command()(plan)


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
    plan_file: PlanOption = None,
    max_drift: DriftOption = "1%",
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
        spec, planned, document = job_of_plan(plan_file)
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
    if plan_file is not None:
        check_plans_hub(document, target)
    capacity = capacity_of(target, tier, budget)
    drift = drift_of(max_drift)
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
