"""Makes the forecast of a job: the count first, then the devices page by page, then what other jobs are about."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub_tools.jobs.forecast import (
    ROW_BYTES,
    DeviceClass,
    Plan,
    fastest,
    forecast_paths,
    forecast_quota,
    forecast_reading,
)
from hub_tools.jobs.job import JobSpec, TwinPath
from hub_tools.jobs.overlaps import find_overlaps
from hub_tools.jobs.population import DeviceRow, Sketch, class_key, count, read_devices
from hub_tools.jobs.storage import Jobs
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing
from hub_tools.service import HubService, Json
from iot_core.errors import EdgeyardError, InputError

__all__ = ["NoDeviceMatchesError", "PlanDriftError", "check_drift", "make_plan", "nobody", "offline_for", "read_plan"]

SHOWN_CLASSES, SHOWN_EXAMPLES, SHOWN_REASONS = 20, 3, 20
MILLION = 1_000_000
OFFLINE_FOR = (("under an hour", 3_600.0), ("under a day", 86_400.0), ("under a week", 604_800.0))
LONGER, NEVER = "a week or longer", "never seen"
ACKNOWLEDGED, REPORTED, NONE = "acknowledged", "reported value", "none"
_BARE = re.compile(r"(?:=|<>|[<>])\s*([A-Za-z_]\w*)\s*(?=$|\)|\bAND\b|\bOR\b)", re.IGNORECASE)
_CONSTANTS = ("true", "false", "null")
LEAST_PAGE_ROWS = 100
"""Rows a page to reckon with when all fit on one that was not full."""


class NoDeviceMatchesError(EdgeyardError):
    """The condition matches no device, so there is nothing to do."""


class PlanDriftError(EdgeyardError):
    """The devices are not those any more that were planned for."""


async def make_plan(
    service: HubService,
    spec: JobSpec,
    *,
    capacity: Capacity | None,
    checked: str = "",
    path: str | None = None,
    quick: bool = False,
    tag: str = "",
    timing: Timing | None = None,
    on_page: Callable[[int, int], None] = lambda seen, matched: None,
    on_row: Callable[[DeviceRow], None] = lambda row: None,
    jobs: Path | Jobs | None = None,
) -> Plan:
    """The forecast; with `quick` from one page of devices. `capacity` None is a hub without throttles.

    `on_row` gets each device that is read, with the value that it has of `tag`; `jobs` are the journals among which
    other jobs are looked for, beside the hub's own. Raises NoDeviceMatchesError, InputError for a path that the job
    cannot take, and HubError.
    """
    timing = timing or Timing()
    started = timing.clock.monotonic()
    matched = await count(service, spec.where)
    if not matched:
        raise NoDeviceMatchesError(nobody(spec))
    survey = _Survey(spec, timing.clock.now())
    async for page in read_devices(service, spec, pace=query_pace(capacity, timing), tag=tag):
        for row in page.rows:
            on_row(row)
        survey.page(page.rows, page.size_bytes, last=page.last)
        on_page(survey.seen, matched)
        if quick:
            break
    if survey.seen and not quick:
        matched = survey.seen
    plan = survey.plan(service.host_name, matched, capacity, checked)
    plan = replace(plan, overlaps=await find_overlaps(service, spec, jobs), read_s=timing.clock.monotonic() - started)
    return plan if path is None else replace(plan, path=plan.forecast_of(path).name)


def nobody(spec: JobSpec) -> str:
    """What is said when no device matches; a word that stands where a text was probably meant is named."""
    bare = next((word for word in _BARE.findall(spec.where) if word.lower() not in _CONSTANTS), "")
    quotes = f"{bare} is the name of a property, the text would be '{bare}'. " if bare else ""
    return f'No device matches: {spec.where}. {quotes}Look with: edgeyard query "SELECT * FROM devices"'


def read_plan(document: Json) -> tuple[JobSpec, Sketch, Json]:
    """The job, its population and the rest of a plan's file; InputError."""
    if document.get("format") != 1:
        raise InputError("this is no plan that `edgeyard job plan --out` wrote")
    try:
        return JobSpec.from_json(document["job"]), Sketch.from_json(document["population"]), document
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this plan cannot be read: {error!r}") from None


def check_drift(planned: Sketch, found: Sketch, most: float) -> float:
    """How far the population has moved since the plan; PlanDriftError when that is more than `most`."""
    drift = planned.drift(found)
    if drift > most:
        raise PlanDriftError(
            f"the plan was made for {planned.total} devices, and {drift:.1%} of them and of the {found.total} that "
            f"match now are in only one of the two: plan again, or allow it with --max-drift {drift * 100:.1f}%"
        )
    return drift


def offline_for(last_seen: float | None, now: float) -> str:
    """How long a device has been away, in the classes in which plans count them."""
    if last_seen is None:
        return NEVER
    away = now - last_seen
    return next((name for name, limit in OFFLINE_FOR if away < limit), LONGER)


class _Survey:
    """Counts over the devices, of whatever number, in little memory."""

    def __init__(self, spec: JobSpec, now: float) -> None:
        self._spec = spec
        self._now = now
        self.seen = self.connected = self.holding = 0
        self._why: dict[str, Counter[str]] = {}
        self._offline: Counter[str] = Counter()
        self._conventions: Counter[str] = Counter()
        self._classes: dict[str, tuple[list[str], Json]] = {}
        self._class_counts: Counter[str] = Counter()
        self._sketch = Sketch()
        self._page_rows = 0
        self._bytes = 0

    def page(self, rows: list[DeviceRow], size_bytes: int, *, last: bool) -> None:
        self._bytes += size_bytes
        if not last or not self._page_rows:
            self._page_rows = max(len(rows), LEAST_PAGE_ROWS if last else 0)
        for row in rows:
            self._row(row)

    def _row(self, row: DeviceRow) -> None:
        self.seen += 1
        self._sketch.add(row.device_id)
        if row.connected:
            self.connected += 1
        else:
            self._offline[offline_for(row.last_seen, self._now)] += 1
        if self._spec.desired:
            self._conventions[_convention(row)] += 1
        self.holding += row.holds
        self._count_why(row)
        if self._spec.kind == "twin":
            self._classify(row)

    def _classify(self, row: DeviceRow) -> None:
        key = class_key(row.previous)
        if key not in self._classes:
            if len(self._classes) >= SHOWN_CLASSES * 50:
                key = ""
            self._classes.setdefault(key, ([], dict(row.previous)))
        self._class_counts[key] += 1
        examples = self._classes[key][0]
        if len(examples) < SHOWN_EXAMPLES:
            examples.append(row.device_id)

    def _count_why(self, row: DeviceRow) -> None:
        for path, value in row.why.items():
            counts = self._why.setdefault(path, Counter())
            shown = value if isinstance(value, str) else json.dumps(value)
            counts[shown if shown in counts or len(counts) < SHOWN_REASONS else "others"] += 1

    def plan(self, host_name: str, matched: int, capacity: Capacity | None, checked: str) -> Plan:
        scale = matched / self.seen if self.seen else 1.0
        connected, holding = round(self.connected * scale), round(self.holding * scale)
        to_write = matched - holding if self._spec.kind == "twin" else matched
        paths = forecast_paths(self._spec, to_write, capacity, connected=connected, page_rows=self._page_rows)
        online = connected / matched if matched else 0.0
        priced = capacity or Capacity(tier="S2")
        classes = self._shown_classes(scale)
        page_bytes = self._bytes / max(self.seen, 1) * self._page_rows or ROW_BYTES
        return Plan(
            spec=self._spec,
            host_name=host_name,
            capacity=capacity,
            made=self._now,
            checked=checked,
            matched=matched,
            seen=self.seen,
            connected=connected,
            holding=holding,
            why={path: dict(counts.most_common()) for path, counts in self._why.items()},
            offline=_scaled(self._offline, scale),
            conventions=_scaled(self._conventions, scale),
            classes=classes,
            other_classes=max(len(self._classes) - len(classes), 0),
            paths=paths,
            path=fastest(paths),
            reading=forecast_reading(matched, self._page_rows, capacity) if capacity else None,
            page_rows=self._page_rows,
            page_bytes=page_bytes,
            quota=forecast_quota(
                self._spec,
                to_write,
                capacity,
                connected=connected,
                page_rows=self._page_rows,
                page_bytes=page_bytes,
            ),
            million=forecast_paths(
                self._spec, MILLION, priced, connected=round(MILLION * online), page_rows=self._page_rows
            ),
            sketch=self._sketch,
        )

    def _shown_classes(self, scale: float) -> tuple[DeviceClass, ...]:
        return tuple(
            DeviceClass(
                count=round(number * scale),
                examples=tuple(self._classes[key][0]),
                changes=tuple(_changes(self._spec, self._classes[key][1])),
            )
            for key, number in self._class_counts.most_common(SHOWN_CLASSES)
        )


def _changes(spec: JobSpec, previous: Json) -> list[tuple[str, Any, Any]]:
    paths = {**previous, **{str(path): None for path in spec.touched if str(path) not in previous}}
    return [(text, previous.get(text), spec.target(TwinPath.parse(text))) for text in paths]


def _convention(row: DeviceRow) -> str:
    answers = [answer for answer in row.reported.values() if answer is not None]
    if any(isinstance(answer, dict) and "ac" in answer and "av" in answer for answer in answers):
        return ACKNOWLEDGED
    return REPORTED if answers else NONE


def _scaled(counts: Counter[str], scale: float) -> Json:
    return {name: round(number * scale) for name, number in counts.most_common()}
