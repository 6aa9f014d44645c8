"""What a job would do, how long it would take on each path, and what it would cost; nothing is changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.population import QUERY_BUDGET_CHARACTERS, Sketch
from hub_tools.jobs.throttles import METHOD_METER_BYTES, Capacity, Step, slowest
from hub_tools.service import Json
from iot_core.errors import InputError
from iot_core.twin import document_size

__all__ = [
    "BULK",
    "DIRECT",
    "JOB_SERVICE",
    "DeviceClass",
    "Overlap",
    "PathForecast",
    "Plan",
    "Quota",
    "fastest",
    "forecast_paths",
    "forecast_quota",
    "forecast_reading",
]

JOB_SERVICE, DIRECT, BULK = "jobs", "direct", "bulk"
"""The paths: the hub's job service; one call a device; the registry's bulk call with up to 100 devices."""
DEVICES_PER_JOB = QUERY_BUDGET_CHARACTERS // 23
"""Devices that fit into the condition of one job, with ids of 20 characters."""
LOOKS_PER_JOB = 6
"""Calls about one job: its creation, and how often its state is asked for."""
LOCAL_RATES = {JOB_SERVICE: 2_000.0, DIRECT: 500.0, BULK: 2_300.0}
"""Devices a second that a hub without throttles gets through on one core (benchmarks/jobs.py)."""
ROW_BYTES = 300
"""Of the answer to a query, for one device, where none has been measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathForecast:
    """How long one path takes: its steps go on side by side and the slowest decides.

    Without steps the hub has no throttle and `seconds` is a rate measured on the local hub.
    """

    name: str
    seconds: float
    steps: tuple[Step, ...] = ()

    @property
    def deciding(self) -> Step | None:
        """The step whose throttle decides; None where nothing throttles."""
        return slowest(self.steps) if self.steps else None

    def to_json(self) -> Json:
        """`{"path", "seconds", "decidedBy", "arithmetic"}`."""
        decided = self.deciding
        return {
            "path": self.name,
            "seconds": round(self.seconds, 1),
            "decidedBy": decided.throttle if decided else None,
            "arithmetic": [str(step) for step in self.steps],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """Messages that a job costs, of those that the hub may count in a day."""

    messages: int
    daily: int | None
    arithmetic: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """`{"messages", "daily", "share", "arithmetic"}`."""
        share = self.messages / self.daily if self.daily else None
        return {"messages": self.messages, "daily": self.daily, "share": share, "arithmetic": list(self.arithmetic)}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceClass:
    """Devices that see the same difference: (path, before, after) for each value; None where there is none."""

    count: int
    examples: tuple[str, ...]
    changes: tuple[tuple[str, Any, Any], ...]

    def to_json(self) -> Json:
        """With the changes as objects."""
        changes = [{"path": path, "before": before, "after": after} for path, before, after in self.changes]
        return {"count": self.count, "examples": list(self.examples), "changes": changes}


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Another job that has not ended: how many devices both take, and the values that both set."""

    job_id: str
    status: str
    operator: str = ""
    """Who began it; "" for a job of which only the hub's job service knows."""
    devices: int | None
    values: tuple[str, ...]

    def to_json(self) -> Json:
        """As in the plan's file."""
        who = {"job": self.job_id, "status": self.status, "operator": self.operator or None}
        return {**who, "devices": self.devices, "values": list(self.values)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The forecast of one job on one hub. Counts are of the index of queries, which may lag behind."""

    spec: JobSpec
    host_name: str
    capacity: Capacity | None
    made: float
    checked: str
    matched: int
    seen: int
    """Devices that were read: all of them, or with `quick` a sample from which the counts are taken further."""
    connected: int
    holding: int
    why: Json = field(default_factory=dict)
    offline: Json = field(default_factory=dict)
    conventions: Json = field(default_factory=dict)
    classes: tuple[DeviceClass, ...] = ()
    other_classes: int = 0
    overlaps: tuple[Overlap, ...] = ()
    paths: tuple[PathForecast, ...] = ()
    path: str = JOB_SERVICE
    reading: Step | None = None
    page_rows: int = 0
    page_bytes: float = 0.0
    read_s: float = 0.0
    quota: Quota = field(default_factory=lambda: Quota(messages=0, daily=None))
    million: tuple[PathForecast, ...] = ()
    sketch: Sketch = field(default_factory=Sketch)

    @property
    def quick(self) -> bool:
        """Whether only a sample was read."""
        return self.seen < self.matched

    @property
    def convention(self) -> str:
        """How most of these devices acknowledge: "acknowledged", "reported value" or "none"."""
        return max(self.conventions, key=lambda name: self.conventions[name], default="none")

    def forecast_of(self, path: str) -> PathForecast:
        """Of one of the paths that the job can take; InputError for another."""
        for each in self.paths:
            if each.name == path:
                return each
        raise InputError(f"--path {path}: this job can go by {', '.join(each.name for each in self.paths)}")

    def to_json(self) -> Json:
        """The plan's file, and `--output json`."""
        return {
            "format": 1,
            "job": self.spec.to_json(),
            "hub": self.host_name,
            "tier": f"{self.capacity.tier}:{self.capacity.units}" if self.capacity else None,
            "budget": self.capacity.share if self.capacity else 1.0,
            "made": self.made,
            "checkedAgainst": self.checked,
            "matched": self.matched,
            "read": self.seen,
            "why": self.why,
            "connected": self.connected,
            "offline": self.offline,
            "holding": self.holding,
            "acknowledgement": self.conventions,
            "classes": [each.to_json() for each in self.classes],
            "otherClasses": self.other_classes,
            "overlaps": [each.to_json() for each in self.overlaps],
            "paths": [each.to_json() for each in self.paths],
            "path": self.path,
            "planning": {"pageRows": self.page_rows, "seconds": round(self.read_s, 3), "throttle": _text(self.reading)},
            "quota": self.quota.to_json(),
            "atAMillion": [each.to_json() for each in self.million],
            "population": self.sketch.to_json(),
        }


def forecast_paths(
    spec: JobSpec, devices: int, capacity: Capacity | None, *, connected: int = 0, page_rows: int = 100
) -> tuple[PathForecast, ...]:
    """The paths that a job can take, with how long each needs for so many devices."""
    names = {"twin": (JOB_SERVICE, DIRECT, BULK), "method": (JOB_SERVICE, DIRECT), "c2d": (DIRECT,)}[spec.kind]
    if capacity is None:
        return tuple(PathForecast(name=name, seconds=devices / LOCAL_RATES[name]) for name in names)
    found = []
    for name in names:
        steps = (*_steps(spec, name, devices, capacity), *_queries(spec, name, devices, connected, capacity, page_rows))
        found.append(PathForecast(name=name, seconds=slowest(steps).seconds, steps=steps))
    return tuple(found)


def fastest(paths: tuple[PathForecast, ...]) -> str:
    """The name of the path that needs the least time, of equals the first."""
    return min(paths, key=lambda path: path.seconds).name


def forecast_reading(devices: int, page_rows: int, capacity: Capacity) -> Step:
    """What it takes to read all devices, page by page, and the count before."""
    return capacity.step("queries", 1 + math.ceil(devices / max(page_rows, 1)))


def forecast_quota(
    spec: JobSpec, devices: int, capacity: Capacity | None, *, connected: int, page_rows: int, page_bytes: float
) -> Quota:
    """Messages of the whole job: reading, writing, and what the devices answer."""
    counted = capacity or Capacity(tier="S1")
    pages = math.ceil(devices / max(page_rows, 1))
    reading = pages * counted.messages(page_bytes)
    each = counted.messages(_payload_bytes(spec))
    lines = [f"reading: {pages:,} pages × {counted.messages(page_bytes)} = {reading:,}"]
    lines.append(f"{_VERBS[spec.kind]}: {devices:,} × {each} = {devices * each:,}")
    answers = connected if spec.desired or spec.kind == "method" else 0
    if answers:
        lines.append(f"answers of connected devices: {answers:,} × 1 = {answers:,}")
    total = reading + devices * each + answers
    return Quota(messages=total, daily=capacity.daily_messages if capacity else None, arithmetic=tuple(lines))


_VERBS = {"twin": "twin writes", "method": "method calls", "c2d": "messages"}


def _steps(spec: JobSpec, path: str, devices: int, capacity: Capacity) -> tuple[Step, ...]:
    if path == JOB_SERVICE:
        jobs = math.ceil(devices / DEVICES_PER_JOB)
        return (
            capacity.step("job device operations", devices),
            capacity.step("job operations", jobs * LOOKS_PER_JOB),
        )
    if path == BULK:
        return (capacity.step("registry operations", devices),)
    if spec.kind == "method":
        metered = math.ceil(max(_payload_bytes(spec), 1) / METHOD_METER_BYTES) * METHOD_METER_BYTES
        return (capacity.step("method bytes", devices * metered),)
    if spec.kind == "c2d":
        return (capacity.step("cloud-to-device sends", devices),)
    return (capacity.step("twin updates", devices),)


def _queries(
    spec: JobSpec, path: str, devices: int, connected: int, capacity: Capacity, page_rows: int
) -> tuple[Step, ...]:
    """Queries that go on beside the writing: what became of each device in a job, and what the devices answer."""
    rows = devices if path == JOB_SERVICE else 0
    if spec.wait and (spec.desired or spec.confirm):
        rows += connected
    return (capacity.step("queries", math.ceil(rows / max(page_rows, 1))),) if rows else ()


def _payload_bytes(spec: JobSpec) -> int:
    if spec.c2d is not None:
        return len(spec.c2d.encode())
    if spec.method is not None:
        return document_size({"payload": spec.method.payload}) if spec.method.payload is not None else 0
    return document_size(spec.patch())


def _text(step: Step | None) -> str | None:
    return None if step is None else str(step)
