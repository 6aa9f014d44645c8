"""How a rollout's waves are said on the command line, and how their forecast and their end are shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from edgeyard.cli.job_render import print_line
from edgeyard.cli.render import print_table, stdout
from hub_tools.jobs.forecast import LOCAL_RATES
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_forecast import RolloutPlan, Tagging, WaveForecast
from hub_tools.jobs.rollout_run import RolloutReport
from hub_tools.jobs.rollout_states import ENDED
from hub_tools.jobs.throttles import duration

__all__ = [
    "AbortOption",
    "ApproveOption",
    "BakeOption",
    "CanaryOption",
    "CohortTagOption",
    "RateOption",
    "RequireOption",
    "SaltOption",
    "WavesOption",
    "print_rollout_report",
    "print_waves",
    "waves_of",
]

CanaryOption = Annotated[int | None, typer.Option(help="So many devices first.", min=1, show_default=False)]
WavesOption = Annotated[
    str | None,
    typer.Option(
        help="Devices that have the change after each wave, counts or per cent. Default: 10%,50%,100%.",
        show_default=False,
    ),
]
BakeOption = Annotated[str | None, typer.Option(help="Wait so long between waves: 90s, 30m, 2h.", show_default=False)]
RequireOption = Annotated[
    list[str] | None,
    typer.Option(
        help="After each wave: 'success >= 95%', 'acknowledged >= 90%', 'telemetry $body.temperature > 90 on at "
        "most 1%' (or at least), a SELECT COUNT() that must give 0, or a condition for every device of the wave; "
        "may be repeated.",
        show_default=False,
    ),
]
AbortOption = Annotated[
    str | None,
    typer.Option(help="End when more devices fail: 5%, or '5% of 20' for a least sample.", show_default=False),
]
ApproveOption = Annotated[bool, typer.Option("--approve", help="Ask before each wave.")]
RateOption = Annotated[float | None, typer.Option(help="Not more devices a second.", show_default=False)]
SaltOption = Annotated[
    str | None, typer.Option(help="Cohorts by this text; default: others each time.", show_default=False)
]
CohortTagOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="First give each device this tag with the number of its wave.", show_default=False
    ),
]


def waves_of(
    rollout: Rollout,
    *,
    canary: int | None,
    waves: str | None,
    bake: str | None,
    require: list[str] | None,
    abort_if: str | None,
    approve: bool,
    rate: float | None,
    salt: str | None,
    cohort_tag: str | None,
) -> Rollout:
    """The rollout with what the options say; InputError."""
    rollout = rollout if waves is None else rollout.then_waves(waves)
    rollout = rollout if canary is None else rollout.canary(canary)
    rollout = rollout if bake is None else rollout.bake(bake)
    for text in require or []:
        rollout = rollout.require(text)
    rollout = rollout if abort_if is None else rollout.abort_if(abort_if)
    rollout = rollout if rate is None else rollout.at_most(rate)
    rollout = rollout if salt is None else rollout.salted(salt)
    rollout = rollout if cohort_tag is None else rollout.cohort_tag(cohort_tag)
    return rollout.approve() if approve else rollout


def print_waves(found: RolloutPlan) -> None:
    """The forecast of each wave, for people."""
    columns = ["WAVE", "DEVICES", "OFFLINE", "HOLD IT", "WRITING", "BAKE", "OVER AFTER"]
    if found.begins is not None:
        columns.append("AT (UTC)")
    print_table(columns, (_row(found, wave) for wave in found.waves))
    for line in wave_lines(found):
        stdout.print(line, markup=False)


def wave_lines(found: RolloutPlan) -> Iterator[str]:
    """What does not go into the table."""
    for wave in found.waves:
        yield from _details(wave)
    if found.tagging is not None:
        yield from _tags(found.tagging, found.plan.path)
    rollout = found.rollout
    how = "the job's id" if not rollout.salt else "--salt"
    yield f"waves go by {found.plan.path}, cohorts by the salt {rollout.cohort_salt} ({how})"
    yield f"wave 1: {_some(found.waves[0])}"
    if rollout.gates:
        yield "after each wave must hold, or the rollout stands still:"
    for gate, meaning in found.gates:
        yield f"  {gate}: {meaning}"
    if rollout.abort is not None:
        yield f"it ends for good when {rollout.abort}"
    if rollout.by_hand:
        yield "somebody is asked before each wave"
    if (end := found.at(found.total_s)) is not None and rollout.spec.expires is not None and end > rollout.spec.expires:
        yield "it expires before the last wave can be over"
    yield f"in all {duration(found.total_s)} at the earliest, when every device answers at once"


def print_rollout_report(report: RolloutReport, *, lines: bool) -> None:
    """Where a rollout stands and what can be done, for people or as the last line of JSON."""
    if lines:
        print_line(report.to_json())
        return
    counts = ", ".join(f"{number:,} {state.value}" for state, number in report.states.items() if number)
    cause = f": {report.cause}" if report.cause else ""
    stdout.print(f"{report.job_id} is {report.state.value}{cause}", markup=False, soft_wrap=True)
    stdout.print(f"  {report.matched:,} devices matched; {counts or 'none changed'}", markup=False, soft_wrap=True)
    if report.state not in ENDED:
        stdout.print(f"  go on with: edgeyard job rollout --resume {report.job_id}", markup=False, soft_wrap=True)
    elif not report.complete:
        stdout.print(
            f"  edgeyard job retry {report.job_id} for those that failed, or undo", markup=False, soft_wrap=True
        )


def _row(found: RolloutPlan, wave: WaveForecast) -> tuple[str, ...]:
    at = found.at(wave.over_s)
    return (
        f"{wave.number}: {wave.upto}",
        f"{wave.devices:,}",
        f"{wave.devices - wave.connected:,}",
        f"{wave.holding:,}",
        _short(wave.writing.seconds) if wave.devices > wave.holding else "nothing",
        _short(wave.bake_s) if wave.bake_s else "none",
        _short(wave.over_s),
        *([] if at is None else [f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}"]),
    )


def _short(seconds: float) -> str:
    """`1h20m`, so that a table fits a terminal of 80 columns."""
    return duration(seconds).replace("under ", "<").replace("min", "m").replace(" ", "")


def _details(wave: WaveForecast) -> Iterator[str]:
    name = f"  wave {wave.number}"
    if wave.offline:
        away = ", ".join(f"{number:,} {how}" for how, number in wave.offline.items())
        yield f"{name}: {wave.devices - wave.connected:,} offline: {away}"
    if wave.devices > wave.holding:
        decided = wave.writing.deciding
        rate = f"nothing throttles {wave.writing.name}; some {LOCAL_RATES[wave.writing.name]:,.0f} devices/s"
        yield f"{name}: {decided or rate}"


def _tags(tagging: Tagging, path: str) -> Iterator[str]:
    quota, writing = tagging.quota, tagging.writing
    share = f", {quota.messages / quota.daily:.1%} of the {quota.daily:,} messages a day" if quota.daily else ""
    yield (
        f"first tags.{tagging.tag} on {tagging.devices:,} devices ({tagging.holding:,} have it), by {writing.name} in "
        f"{duration(writing.seconds)}{share}"
    )
    if writing.deciding is not None and tagging.devices:
        yield f"  {writing.deciding}"
    if tagging.elsewhere:
        why = ", so that waves cannot be one job each and go by ids" if path == "jobs" else ""
        yield f"  {tagging.elsewhere:,} other devices carry that tag{why}"


def _some(wave: WaveForecast) -> str:
    more = " …" if wave.devices > len(wave.examples) else ""
    return f"{', '.join(wave.examples) or 'nobody'}{more}"
