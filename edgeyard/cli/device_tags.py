"""`edgeyard devices tag`: the same tags for every device that is selected, as a job that waits for nobody."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgeyard.cli.exits import FAILED, PARTLY
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.job_options import TierOption
from edgeyard.cli.progress import progress_bar
from edgeyard.cli.render import Output, print_json, print_note, stdout
from edgeyard.cli.selection import (
    GROUPS_FILE,
    AllOption,
    GroupOption,
    GroupsFileOption,
    WhereOption,
    selected_for_change,
)
from hub_tools.assignments import parse_assignments
from hub_tools.jobs import Capacity, DeviceState, JobReport, JobSpec, make_path, make_plan, run_job
from hub_tools.jobs.forecast import DIRECT
from hub_tools.jobs.population import count
from iot_core.errors import InputError
from iot_core.twin import validate_section

__all__ = ["tag"]

_ENDS = (DeviceState.WRITTEN, DeviceState.SKIPPED, DeviceState.FAILED)


def tag(
    tags: Annotated[list[str], typer.Argument(metavar="NAME=VALUE…", help="null deletes the tag.")],
    where: WhereOption = None,
    group: GroupOption = None,
    groups: GroupsFileOption = GROUPS_FILE,
    every: AllOption = False,
    tier: TierOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Set tags on every device that a condition or a group selects; those that have them are left alone.

    Twins are written one by one, and again where the hub throttles; with --tier on the path that is fastest for it.

    Example: edgeyard devices tag --where "tags.building = 'B1'" floor=2 site.zone=north

    Exit codes: 0 all have them, 1 failed, 2 wrong use, 3 some could not be written.
    """
    patch = parse_assignments(tags, "devices tag")
    validate_section("tags", patch)
    spec = JobSpec(where=selected_for_change(where, group, groups, every=every), tags=patch, wait=False)
    capacity = Capacity.parse(tier) if tier is not None else None
    target = find_hub(hub, home=home)
    matched = run_async(_count(target, spec))
    if not matched:
        raise InputError(f"no device matches: {spec.where}")
    confirm_change(target, f"tag {matched} devices", yes=yes)
    report = run_async(_run(target, spec, capacity, matched))
    _tell(report, output)
    if not report.complete:
        raise typer.Exit(PARTLY if report.partly else FAILED)


async def _count(target: TargetHub, spec: JobSpec) -> int:
    async with target.service() as service:
        return await count(service, spec.where)


async def _run(target: TargetHub, spec: JobSpec, capacity: Capacity | None, matched: int) -> JobReport:
    async with target.service() as service:
        name = DIRECT if capacity is None else (await make_plan(service, spec, capacity=capacity)).path
        path = make_path(name, service, spec, capacity=capacity)
        with progress_bar("twins", matched) as show:
            return await run_job(
                service,
                spec,
                path,
                capacity=capacity,
                on_progress=lambda progress: show(sum(progress.states.get(state, 0) for state in _ENDS)),
            )


def _tell(report: JobReport, output: Output) -> None:
    written, unchanged = report.count(DeviceState.WRITTEN), report.count(DeviceState.SKIPPED)
    failed: list[dict[str, Any]] = [
        {"cause": cause, "count": number, "devices": report.tally.examples[state, cause]}
        for (state, cause), number in report.tally.causes.most_common()
        if state is DeviceState.FAILED
    ]
    if output is Output.JSON:
        print_json({"matched": report.matched, "written": written, "unchanged": unchanged, "failed": failed})
        return
    stdout.print(f"{report.matched} devices matched: {written} tagged, {unchanged} had the tags already")
    for each in failed:
        print_note(f"  {each['count']} failed: {each['cause']} ({', '.join(each['devices'])})")
