"""`edgeyard job rollout`: a job in waves, with gates between them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, find_hub, run_async
from edgeyard.cli.job_approval import Approver
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_options import (
    WHOLE,
    AllOption,
    BetweenOption,
    BudgetOption,
    ConfirmOption,
    DesiredOption,
    DriftOption,
    ExpiresOption,
    GroupOption,
    GroupsOption,
    PlanOption,
    ReasonOption,
    SchemaOption,
    TagOption,
    TierOption,
    TzOption,
    WhereOption,
    capacity_of,
    drift_of,
    job_of,
)
from edgeyard.cli.job_plan import check_plans_hub, rollout_of_plan
from edgeyard.cli.job_render import overlap_lines, print_line
from edgeyard.cli.job_run import MANY_DEVICES, PATH_NOTE, Order, stopping
from edgeyard.cli.job_status import JobStatus, now_and_then
from edgeyard.cli.job_steps import ShownSteps
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
    print_rollout_report,
    print_waves,
    waves_of,
)
from edgeyard.cli.render import Output, stdout
from hub_tools.jobs.forecast import DIRECT
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.planning import check_drift
from hub_tools.jobs.population import Sketch, count
from hub_tools.jobs.resume import never_written
from hub_tools.jobs.rollout import PLAN_NOTE, Rollout, is_rollout, rollout_of
from hub_tools.jobs.rollout_forecast import RolloutPlan, make_rollout_plan
from hub_tools.jobs.rollout_run import PAUSE_NOTE, RolloutReport, run_rollout
from hub_tools.jobs.rollout_states import ENDED, NOTE, RolloutState, Step
from hub_tools.jobs.settings_check import check_values
from hub_tools.jobs.storage import Jobs, storage_of
from hub_tools.jobs.telemetry_gate import Events
from hub_tools.jobs.throttles import Capacity
from hub_tools.programs import value_made_by
from hub_tools.service import HubService, Json
from iot_core.errors import InputError

__all__ = ["check_waves", "rollout"]


def rollout(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.py", help="A rollout in Python instead of options.", show_default=False),
    ] = None,
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsOption = Path("groups.yaml"),
    every: AllOption = False,
    desired: DesiredOption = None,
    tag: TagOption = None,
    canary: CanaryOption = None,
    waves: WavesOption = None,
    bake: BakeOption = None,
    require: RequireOption = None,
    abort_if: AbortOption = None,
    approve: ApproveOption = False,
    rate: RateOption = None,
    salt: SaltOption = None,
    cohort_tag: CohortTagOption = None,
    plan_file: PlanOption = None,
    max_drift: DriftOption = "1%",
    resume: Annotated[
        str | None, typer.Option(metavar="JOB", help="Go on with a rollout that stands still.", show_default=False)
    ] = None,
    confirm: ConfirmOption = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Await no acknowledgements.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that connected devices have to acknowledge.", min=0)] = 60.0,
    expires: ExpiresOption = None,
    between: BetweenOption = None,
    tz: TzOption = None,
    reason: ReasonOption = None,
    schema: SchemaOption = None,
    tier: TierOption = None,
    budget: BudgetOption = WHOLE,
    path: Annotated[
        str | None,
        typer.Option(help="direct, bulk, or with --cohort-tag jobs. Default: direct.", show_default=False),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Text, or one line of JSON for each event.")] = (
        Output.TABLE
    ),
    journal: JournalOption = None,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Change devices in waves: a few first, then more, as long as the gates between the waves hold.

    Example: edgeyard job rollout --all --desired reportingInterval=2 --canary 5 --bake 30m --abort-if "5% of 20"

    Exit codes: 0 all followed, 1 aborted or none followed, 2 wrong use, 3 it stands still or some did not follow.
    """
    job_values = (where, group, every or None, desired, tag, confirm, expires, between, tz, reason, no_wait or None)
    wave_values = (canary, waves, bake, require, abort_if, approve or None, rate, salt, cohort_tag)
    given = any(value is not None for value in (*job_values, *wave_values))
    sources = [str(source) for source in (file, plan_file and "--plan", resume and "--resume") if source is not None]
    if sources and (given or len(sources) > 1):
        raise InputError(f"{sources[-1]} says what the rollout is: leave out what it holds already")
    planned: Rollout | None
    devices: Sketch | None = None
    if resume is not None:
        planned = None
    elif plan_file is not None:
        planned, devices, document = rollout_of_plan(plan_file)
        tier, path = tier or document.get("tier"), path or document.get("path")
        budget = budget if budget != WHOLE else f"{document.get('budget', 1.0):%}"
    elif file is not None:
        planned = value_made_by(file, "rollout", Rollout)
    else:
        spec = job_of(
            file=None,
            where=where,
            group=group,
            groups=groups,
            every=every,
            desired=desired,
            tag=tag,
            method=None,
            payload=None,
            c2d=None,
            confirm=confirm,
            no_wait=no_wait,
            start=None,
            expires=expires,
            between=between,
            tz=tz,
            reason=reason,
        )
        planned = waves_of(
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
    if planned is not None:
        planned.check_path(path or DIRECT)
    target = find_hub(hub, home=home)
    if plan_file is not None:
        check_plans_hub(document, target)
    with open_jobs(journal, home) as jobs:
        order = RolloutOrder(
            target=target,
            capacity=capacity_of(target, tier, budget),
            path=path or DIRECT,
            planned=devices,
            drift=drift_of(max_drift),
            timeout_s=timeout,
            yes=yes,
            lines=output is Output.JSON,
            jobs=jobs,
        )
        if planned is None:
            report = run_async(order.go_on(resume or ""))
        else:
            report = run_async(order.begin(planned, check_values(planned.spec, schema)))
    print_rollout_report(report, lines=order.lines)
    if not report.complete:
        raise typer.Exit(PARTLY if report.partly else FAILED)


@dataclass(frozen=True, kw_only=True)
class RolloutOrder:
    """What the operator said about a rollout, beside what it is."""

    target: TargetHub
    capacity: Capacity | None
    path: str
    planned: Sketch | None
    drift: float
    timeout_s: float
    yes: bool
    lines: bool
    jobs: Path | Jobs

    async def begin(self, rollout: Rollout, checked: str) -> RolloutReport:
        """Begin a new rollout."""
        spec = rollout.spec
        storage = storage_of(self.jobs, spec.job_id)
        if storage.exists() and any(storage.lines()):
            raise InputError(f"{spec.job_id} was begun already: edgeyard job rollout --resume {spec.job_id}")
        async with AsyncExitStack() as stack:
            service = await stack.enter_async_context(self.target.service())
            found = await make_rollout_plan(
                service,
                rollout,
                capacity=self.capacity,
                checked=checked,
                path=self.path,
                begins=time.time(),
                jobs=self.jobs,
            )
            if self.planned is not None:
                check_drift(self.planned, found.plan.sketch, self.drift)
            self._show_plan(found)
            self.agree(rollout, found.plan.matched)
            journal = stack.enter_context(Journal.create(self.jobs, spec, host_name=self.target.host_name))
            journal.note(PATH_NOTE, path=self.path, plain=found.plan.convention == "reported value")
            return await self._carry_out(stack, service, found.rollout, journal, found.order)

    async def go_on(self, job_id: str) -> RolloutReport:
        """Go on with a rollout that has a journal."""
        async with AsyncExitStack() as stack:
            journal = stack.enter_context(Journal.open(self.jobs, job_id))
            if journal.head.host_name not in ("", self.target.host_name):
                raise InputError(f"{job_id} was begun on {journal.head.host_name}, and this is {self.target.host_name}")
            rollout = _rollout_of(journal)
            service = await stack.enter_async_context(self.target.service())
            self.agree(rollout, await count(service, rollout.spec.where))
            return await self._carry_out(stack, service, rollout, journal)

    def agree(self, rollout: Rollout, matched: int) -> None:
        """Ask as `run` does; InputError where nobody may say yes to so many devices beforehand."""
        if self.yes:
            if not self.target.local and matched >= MANY_DEVICES and self.planned is None and not rollout.by_hand:
                raise InputError(
                    f"this would change {matched:,} devices of {self.target.host_name}: for {MANY_DEVICES} or more "
                    "--yes needs --plan, made by edgeyard job plan --out, or a rollout that somebody approves wave by "
                    "wave (--approve)"
                )
            return
        order = Order(
            target=self.target,
            spec=rollout.spec,
            capacity=self.capacity,
            checked="",
            path=self.path,
            planned=None,
            drift=0.0,
            timeout_s=self.timeout_s,
            yes=False,
            lines=self.lines,
            jobs=self.jobs,
        )
        order.agree(matched)

    async def _carry_out(
        self,
        stack: AsyncExitStack,
        service: HubService,
        rollout: Rollout,
        journal: Journal,
        order: Sequence[str] = (),
    ) -> RolloutReport:
        spec, way = rollout.spec, journal.last(PATH_NOTE)
        status = JobStatus(journal.storage)
        stop = await stack.enter_async_context(stopping(status))
        show = ShownSteps(status, lines=self.lines)
        report = await run_rollout(
            service,
            rollout,
            make_path(
                way.get("path", self.path),
                service,
                spec,
                capacity=self.capacity,
                most_per_second=rollout.most_per_second,
            ),
            journal=journal,
            jobs=self.jobs,
            order=order,
            capacity=self.capacity,
            timeout_s=self.timeout_s,
            plain=bool(way.get("plain")),
            approve=Approver(status, spec.job_id),
            events=_events_of(self.target),
            on_step=show.step,
            on_progress=now_and_then(status, lambda: show.last),
            stop=stop,
        )
        if report.state is RolloutState.PAUSED and (request := status.asked_to_stop()) is not None:
            journal.note(PAUSE_NOTE, operator=request.operator, reason=request.reason)
            report = replace(report, cause=f"paused {request}")
        status.write(report.to_json())
        return report

    def _show_plan(self, found: RolloutPlan) -> None:
        if self.lines:
            print_line({"event": "plan", **found.to_json()})
            return
        print_waves(found)
        for line in overlap_lines(found.plan.overlaps):
            stdout.print(line, markup=False, soft_wrap=True)


def check_waves(journal: Journal, verb: str) -> None:
    """Refuse to finish a rollout as if it were a job without waves; InputError."""
    job_id = journal.head.spec.job_id
    if whole := rollout_of(job_id):
        raise InputError(f"{job_id} is a part of {whole}: go on with edgeyard job rollout --resume {whole}")
    if not is_rollout(job_id) and not journal.last(PLAN_NOTE):
        return
    over = Step.from_json(journal.last(NOTE)).state in ENDED
    if verb == "resume" or not over or never_written(journal):
        raise InputError(
            f"{job_id} is a rollout, and {verb} knows no waves: go on with edgeyard job rollout --resume {job_id}"
        )


def _rollout_of(journal: Journal) -> Rollout:
    spec, plan = journal.head.spec, journal.last(PLAN_NOTE)
    if plan:
        return Rollout.from_json(spec, plan)
    if whole := rollout_of(spec.job_id):
        raise InputError(f"{spec.job_id} is a part of {whole}: edgeyard job rollout --resume {whole}")
    if is_rollout(spec.job_id):
        raise InputError(f"{spec.job_id} was cut off before its first step, and nothing was changed: begin another")
    raise InputError(f"{spec.job_id} has no waves: edgeyard job resume {spec.job_id}")


def _events_of(target: TargetHub) -> Events | None:
    """What arrives at the built-in endpoint, in the group of `edgeyard monitor`; None where only Entra signs in."""
    if target.policy is None:
        return None

    @asynccontextmanager
    async def events(since: float) -> AsyncIterator[AsyncIterator[Json]]:
        from hub_tools.monitor import DEFAULT_GROUP, OWN_GROUP, NoConsumerGroupError, watch

        async with AsyncExitStack() as stack:
            listen = partial(watch, target.connection_string, ca_file=target.ca_file, since=since)
            try:
                source = await stack.enter_async_context(listen(group=OWN_GROUP))
            except NoConsumerGroupError:
                source = await stack.enter_async_context(listen(group=DEFAULT_GROUP))
            yield source

    return events
