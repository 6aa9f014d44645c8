"""How plans, progress and reports of jobs are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from edgeyard.cli.render import print_table, stdout
from hub_tools.jobs.forecast import LOCAL_RATES, Overlap, PathForecast, Plan, Quota
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.progress import JobProgress, JobReport
from hub_tools.jobs.throttles import duration

__all__ = [
    "describe",
    "plan_lines",
    "print_cost",
    "print_line",
    "print_plan",
    "print_report",
    "progress_text",
    "report_lines",
]

ORDER = tuple(DeviceState)
_CONVENTIONS = {
    "acknowledged": "with ac and av",
    "reported value": "with a plain reported value",
    "none": "not so far",
}


def describe(spec: JobSpec) -> str:
    """What a job does, in a few words."""
    if spec.method is not None:
        return f"call {spec.method.name}({_value(spec.method.payload) if spec.method.payload is not None else ''})"
    if spec.c2d is not None:
        return f"send {spec.c2d[:60]!r}"
    changes = (f"{path} = {_value(spec.target(path))}" for path in spec.touched)
    return "set " + ", ".join(changes)


def print_plan(plan: Plan) -> None:
    """The forecast for people."""
    for line in plan_lines(plan):
        stdout.print(line, markup=False, soft_wrap=True)
    rows = [(path.name + (" ←" if path.name == plan.path else ""), *_path_row(path)) for path in plan.paths]
    print_table(("PATH", "TIME", "DECIDED BY"), rows)
    if plan.capacity is None:
        stdout.print(
            "  times of an unthrottled local hub as measured; --tier S2:10 reckons with a real one", style="dim"
        )
    print_cost(plan.quota)
    priced = "this hub" if plan.capacity else "an S2 hub of one unit"
    stdout.print(f"at 1,000,000 devices, on {priced}:")
    for path in plan.million:
        for step in path.steps:
            stdout.print(f"  {path.name}: {step}", markup=False, soft_wrap=True)


def print_cost(quota: Quota) -> None:
    """What it takes of the daily quota, with the arithmetic."""
    stdout.print(_cost(quota), markup=False)
    for line in quota.arithmetic:
        stdout.print(f"  {line}", style="dim", markup=False)


def plan_lines(plan: Plan) -> Iterator[str]:
    """Everything of a plan that is not a table."""
    spec = plan.spec
    yield f"{spec.job_id}: {describe(spec)} on {plan.host_name}{f' ({plan.capacity})' if plan.capacity else ''}"
    sample = f", reckoned from {plan.seen:,} that were read" if plan.quick else ""
    yield f"{plan.matched:,} devices match {spec.named}: {spec.where}{sample}"
    for path, counts in plan.why.items():
        yield f"  {path}: {_counts(counts)}"
    yield f"{plan.connected:,} connected, {plan.matched - plan.connected:,} offline: {_counts(plan.offline) or 'none'}"
    if spec.kind == "twin":
        yield f"{plan.holding:,} hold the values already and are skipped; values checked against {plan.checked}"
    yield from _classes(plan)
    yield from _acknowledgement(plan)
    yield from overlap_lines(plan.overlaps)
    yield (
        f"read in {plan.read_s:.1f} s, {plan.page_rows} rows a page; the index that answers queries lags behind the "
        "twins of a real hub by seconds, at worst minutes: run reads back"
    )
    if plan.reading is not None:
        yield f"reading all of them: {plan.reading}"


def overlap_lines(overlaps: Iterable[Overlap]) -> Iterator[str]:
    """The other jobs that may change some of the same devices."""
    for other in overlaps:
        both = "an unknown number of" if other.devices is None else f"{other.devices:,}"
        same = f", which sets {', '.join(other.values)} too" if other.values else ""
        who = f" of {other.operator}" if other.operator else ""
        yield f"overlaps with {other.status} job {other.job_id}{who} on {both} devices{same}"


def _classes(plan: Plan) -> Iterator[str]:
    for each in plan.classes:
        changes = ", ".join(
            f"{path} {_value(before)} → {_value(after)}" if before != after else f"{path} stays {_value(after)}"
            for path, before, after in each.changes
        )
        yield f"  {each.count:,} × {changes}   ({', '.join(each.examples)}{' …' if each.count > 3 else ''})"
    if plan.other_classes:
        yield f"  and {plan.other_classes} more combinations of values"


def _acknowledgement(plan: Plan) -> Iterator[str]:
    spec = plan.spec
    if spec.confirm is not None:
        yield f"acknowledged is a device for which holds: {spec.confirm}"
    elif not spec.wait:
        yield "no acknowledgement is awaited"
    elif spec.desired:
        names = {
            "acknowledged": "with ac and av",
            "reported value": "with a plain reported value",
            "none": "not so far",
        }
        counts = ", ".join(f"{number:,} {names[name]}" for name, number in plan.conventions.items())
        yield f"these devices acknowledge: {counts}"


def _path_row(path: PathForecast) -> tuple[str, str]:
    if path.deciding is None:
        return duration(path.seconds), f"nothing throttles; some {LOCAL_RATES[path.name]:,.0f} devices/s"
    return duration(path.seconds), str(path.deciding)


def _cost(quota: Quota) -> str:
    if not quota.daily:
        return f"cost: {quota.messages:,} messages (a local hub counts them against no quota unless told to)"
    return f"cost: {quota.messages:,} of {quota.daily:,} messages a day ({quota.messages / quota.daily:.1%})"


def progress_text(progress: JobProgress) -> str:
    """Devices by state, rate and time left, for the line of a progress bar."""
    states = ", ".join(f"{progress.states[state]:,} {state}" for state in ORDER if progress.states.get(state))
    rate = f" · {progress.rate:,.0f}/s" if progress.rate else ""
    left = f" · {duration(progress.remaining_s)} left" if progress.remaining_s else ""
    return f"{progress.phase}: {states}{rate}{left}"


def print_line(value: dict[str, Any]) -> None:
    """One JSON document on one line, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_report(report: JobReport) -> None:
    """The end of a job for people."""
    for line in report_lines(report):
        stdout.print(line, markup=False, soft_wrap=True)


def report_lines(report: JobReport) -> Iterator[str]:
    """States, then what went wrong by cause with examples, then what can be done."""
    counts = report.tally.counts
    states = ", ".join(f"{counts[state]:,} {state}" for state in ORDER if counts[state])
    yield f"{report.job_id}: {report.matched:,} devices in {report.seconds:.1f} s: {states}"
    for (state, cause), number in report.tally.causes.most_common():
        examples = report.tally.examples[state, cause]
        more = " …" if number > len(examples) else ""
        yield f"  {number:,} {state}: {cause}   ({', '.join(examples)}{more})"
    if report.awaited and counts[DeviceState.WRITTEN]:
        yield f"  {counts[DeviceState.WRITTEN]:,} are not connected: they take it over when they connect"
    if report.stopped:
        yield f"  {report.stopped} before its end; go on with: edgeyard job resume {report.job_id}"


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
