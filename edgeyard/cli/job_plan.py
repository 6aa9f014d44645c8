"""`edgeyard job plan`: what a job or a rollout would do; and the file that it writes."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import Progress

from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, find_hub, run_async
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_options import (
    WHOLE,
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
from edgeyard.cli.job_render import plan_lines, print_cost, print_plan
from edgeyard.cli.job_run import progress_columns
from edgeyard.cli.job_waves import (
    AbortOption,
    ApproveOption,
    BakeOption,
    CanaryOption,
    CohortTagOption,
    RateOption,
    RequireOption,
    SaltOption,
    WavesOption,
    print_waves,
    waves_of,
)
from edgeyard.cli.render import Output, print_json, print_note, stderr, stdout
from hub_tools.jobs.forecast import DIRECT, Plan
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.job_file import moment
from hub_tools.jobs.planning import make_plan, read_plan
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_forecast import RolloutPlan, make_rollout_plan
from hub_tools.jobs.settings_check import check_values
from hub_tools.programs import first_made_by
from hub_tools.service import HubService, Json
from iot_core.errors import InputError

__all__ = ["check_plans_hub", "job_of_plan", "plan", "rollout_of_plan"]

PLAN_BYTES = 5_000_000
T = TypeVar("T")


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
    canary: CanaryOption = None,
    waves: WavesOption = None,
    bake: BakeOption = None,
    require: RequireOption = None,
    abort_if: AbortOption = None,
    approve: ApproveOption = False,
    rate: RateOption = None,
    salt: SaltOption = None,
    cohort_tag: CohortTagOption = None,
    schema: SchemaOption = None,
    tier: TierOption = None,
    budget: BudgetOption = WHOLE,
    path: PathOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Count, and read one page of devices only.")] = False,
    journal: JournalOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the plan here, for run --plan or rollout --plan.", show_default=False)
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Tell what a job would do, how long it would take and what it would cost; change nothing.

    With an option of the waves, or a Python file that makes a rollout, the same of each wave of a rollout.

    Example: edgeyard job plan --where "tags.building = 'B1'" --desired reportingInterval=5 --tier S2:10 --out plan.json

    Example: edgeyard job plan --all --desired reportingInterval=2 --canary 5 --waves 10%,100% --bake 30m
    """
    made = _made_by(file) if file is not None and file.suffix == ".py" else None
    wave_values = (canary, waves, bake, require, abort_if, approve or None, rate, salt, cohort_tag)
    in_waves = any(value is not None for value in wave_values)
    if in_waves and file is not None:
        raise InputError(f"{file} says what is planned: waves go into a Python file that makes a rollout")
    in_waves = in_waves or isinstance(made, Rollout)
    spec = job_of(
        file=file,
        made=made.spec if isinstance(made, Rollout) else made,
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
        start=None if in_waves else start,
        expires=expires,
        between=between,
        tz=tz,
        reason=reason,
    )
    rollout = replace(made, spec=spec) if isinstance(made, Rollout) else None
    if rollout is None and in_waves:
        rollout = waves_of(
            Rollout(spec),
            canary=canary,
            waves=waves,
            bake=bake,
            require=require,
            abort_if=abort_if,
            approve=approve,
            rate=rate,
            salt=salt,
            cohort_tag=cohort_tag,
        )
    checked = check_values(spec, schema)
    if out is not None and quick:
        raise InputError("--out writes which devices were matched, and --quick does not read them all: leave one out")
    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"--out {out} cannot be written: there is no folder {out.parent}")
    if rollout is not None and quick:
        raise InputError("the cohorts of a rollout are cut from all its devices, and --quick does not read them all")
    if rollout is not None:
        rollout.check_path(path or DIRECT)
    begins = moment(start, time.time(), "start") if rollout is not None else None
    target = find_hub(hub, home=home)
    capacity = capacity_of(target, tier, budget)

    with open_jobs(journal, home) as jobs:

        async def forecast(service: HubService, on_page: Callable[[int, int], None]) -> Plan | RolloutPlan:
            common: dict[str, Any] = {"capacity": capacity, "checked": checked, "on_page": on_page, "jobs": jobs}
            if rollout is None:
                return await make_plan(service, spec, path=path, quick=quick, **common)
            return await make_rollout_plan(service, rollout, path=path or DIRECT, begins=begins, **common)

        found = run_async(_read(target, forecast))
    if out is not None:
        _write(out, found)
    if output is Output.JSON:
        print_json(found.to_json())
        return
    if isinstance(found, Plan):
        print_plan(found)
    else:
        for line in plan_lines(found.plan):
            stdout.print(line, markup=False, soft_wrap=True)
        print_waves(found)
        print_cost(found.quota)
    if out is not None:
        verb = "run" if isinstance(found, Plan) else "rollout"
        print_note(f"written to {out}; run it with: edgeyard job {verb} --plan {out}")


async def _read(target: TargetHub, forecast: Callable[[HubService, Callable[[int, int], None]], Awaitable[T]]) -> T:
    """A forecast, with a bar while devices are read for it."""
    async with target.service() as service:
        with Progress(*progress_columns(), console=stderr, transient=True) as progress:
            task = progress.add_task("reads the devices", total=None)
            return await forecast(service, lambda seen, matched: progress.update(task, completed=seen, total=matched))


def job_of_plan(file: Path) -> tuple[JobSpec, Sketch, Json]:
    """The job of a plan's file, its devices and the rest; InputError."""
    found = _plan_in(file)
    if "rollout" in found[2]:
        raise InputError(f"--plan {file} is the plan of a rollout: edgeyard job rollout --plan {file}")
    return found


def rollout_of_plan(file: Path) -> tuple[Rollout, Sketch, Json]:
    """The rollout of a plan's file with its cohorts, its devices and the rest; InputError."""
    spec, sketch, document = _plan_in(file)
    if "rollout" not in document:
        raise InputError(f"--plan {file} is the plan of a job without waves: edgeyard job run --plan {file}")
    return Rollout.from_json(spec, document["rollout"]), sketch, document


def check_plans_hub(document: Json, target: TargetHub) -> None:
    """InputError where a plan was made for another hub."""
    if document.get("hub") != target.host_name:
        raise InputError(f"the plan was made for {document.get('hub')}, and this is {target.host_name}")


def _plan_in(file: Path) -> tuple[JobSpec, Sketch, Json]:
    try:
        if file.stat().st_size > PLAN_BYTES:
            raise InputError(f"{file} is larger than {PLAN_BYTES} bytes: that is no plan")
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--plan {file} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"--plan {file}: this is no plan that `edgeyard job plan --out` wrote")
    return read_plan(document)


def _made_by(file: Path) -> JobSpec | Rollout:
    made: JobSpec | Rollout = first_made_by(file, {"rollout": Rollout, "job": JobSpec})
    return made


def _write(out: Path, found: Plan | RolloutPlan) -> None:
    try:
        out.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}") from None
