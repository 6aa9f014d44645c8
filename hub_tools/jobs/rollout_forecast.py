"""What each wave of a rollout would do and when it would be over at the earliest; nothing is changed.

A wave is read, then written to, then baked; the throttles decide how long reading and writing take. Nothing is reckoned
for devices that are slow to acknowledge, for gates, and for whoever approves: so every time is the earliest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hub_tools.jobs.cohort_tags import tag_paths
from hub_tools.jobs.cohorts import ends, ranked
from hub_tools.jobs.forecast import BULK, DEVICES_PER_JOB, PathForecast, Plan, Quota, forecast_paths, forecast_quota
from hub_tools.jobs.gates import meaning
from hub_tools.jobs.planning import make_plan, offline_for
from hub_tools.jobs.population import DeviceRow, count
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.storage import Jobs
from hub_tools.jobs.throttles import Capacity, Step, Throttle
from hub_tools.jobs.timing import Timing
from hub_tools.service import HubService, Json
from iot_core.clock import iso

__all__ = ["RolloutPlan", "Tagging", "WaveForecast", "make_rollout_plan"]

EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class WaveForecast:
    """One wave: its own devices, those that hold the value already among them, and how long it takes.

    `over_s` are seconds from the rollout's beginning to the end of the bake.
    """

    number: int
    upto: str
    devices: int
    connected: int
    offline: Json
    holding: int
    writing: PathForecast
    bake_s: float
    over_s: float
    examples: tuple[str, ...]

    def to_json(self) -> Json:
        """As in the plan's file."""
        return {
            "wave": self.number,
            "upTo": self.upto,
            "devices": self.devices,
            "connected": self.connected,
            "offline": self.offline,
            "holding": self.holding,
            "writing": self.writing.to_json(),
            "bake": self.bake_s,
            "overAfter": round(self.over_s, 1),
            "examples": list(self.examples),
        }


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """What it costs to give every device its wave's tag: devices to be written to, and those that have it already.

    `elsewhere` carry the tag and are no devices of the rollout: because of them no wave can be one job by its tag.
    """

    tag: str
    devices: int
    holding: int
    elsewhere: int
    writing: PathForecast
    quota: Quota

    def to_json(self) -> Json:
        """As in the plan's file."""
        return {
            "tag": self.tag,
            "devices": self.devices,
            "holding": self.holding,
            "elsewhere": self.elsewhere,
            "writing": self.writing.to_json(),
            "quota": self.quota.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """The forecast of a rollout: that of its job, and that of each wave. `rollout` has its cohorts fixed.

    `begins` is when the first wave is to begin (unix seconds), where anybody said so; `quota` is that of all waves,
    tags included; `order` has the devices in the order of the cohorts.
    """

    plan: Plan
    rollout: Rollout
    waves: tuple[WaveForecast, ...]
    tagging: Tagging | None
    quota: Quota
    begins: float | None = None
    order: list[str] = field(default_factory=list, repr=False)

    @property
    def total_s(self) -> float:
        """Seconds from the beginning until the last wave is over."""
        return self.waves[-1].over_s

    @property
    def gates(self) -> tuple[tuple[str, str], ...]:
        """Each gate as it was given, and in words."""
        return tuple((str(gate), meaning(gate)) for gate in self.rollout.gates)

    def at(self, seconds: float) -> float | None:
        """Unix seconds of a moment so long after the beginning; None while nobody said when that is."""
        return None if self.begins is None else self.begins + seconds

    def to_json(self) -> Json:
        """The plan's file, and `--output json`: that of the job, with the waves."""
        waves: list[Json] = []
        for wave in self.waves:
            at = self.at(wave.over_s)
            waves.append({**wave.to_json(), "overAt": at and iso(at)})
        return {
            **self.plan.to_json(),
            "rollout": self.rollout.to_json(),
            "salt": self.rollout.cohort_salt,
            "waves": waves,
            "gates": [{"gate": gate, "meaning": words} for gate, words in self.gates],
            "abortIf": str(self.rollout.abort) if self.rollout.abort else None,
            "tagging": self.tagging and self.tagging.to_json(),
            "begins": self.begins and iso(self.begins),
            "seconds": round(self.total_s, 1),
            "quota": self.quota.to_json(),
        }


async def make_rollout_plan(
    service: HubService,
    rollout: Rollout,
    *,
    capacity: Capacity | None,
    path: str,
    checked: str = "",
    begins: float | None = None,
    timing: Timing | None = None,
    on_page: Callable[[int, int], None] = lambda seen, matched: None,
    jobs: Path | Jobs | None = None,
) -> RolloutPlan:
    """The forecast of a rollout, from all its devices. Raises what `make_plan` raises, and InputError for a path that
    the waves cannot go by.
    """
    rollout.check_path(path)
    timing = timing or Timing()
    now, seen = timing.clock.now(), list[_Seen]()
    plan = await make_plan(
        service,
        rollout.spec,
        capacity=capacity,
        checked=checked,
        path=path,
        tag=rollout.tag,
        timing=timing,
        on_page=on_page,
        on_row=lambda row: seen.append(_Seen.of(row, now)),
        jobs=jobs,
    )
    tagged = await count(service, f"is_defined(tags.{rollout.tag})") if rollout.tag else 0
    return _Forecast(plan, rollout, seen, begins).make(tagged)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a forecast has to keep of a device; `away` is for how long, "" while it is connected."""

    device_id: str
    away: str
    holds: bool
    tag: Any

    @classmethod
    def of(cls, row: DeviceRow, now: float) -> _Seen:
        away = "" if row.connected else offline_for(row.last_seen, now)
        return cls(device_id=row.device_id, away=away, holds=row.holds, tag=row.tag)


class _Forecast:
    def __init__(self, plan: Plan, rollout: Rollout, seen: Sequence[_Seen], begins: float | None) -> None:
        self._plan = plan
        self._begins = begins
        self._at = plan.made if begins is None else begins
        found = {each.device_id: each for each in seen}
        self._order = ranked(found, rollout.cohort_salt)
        self._rollout = rollout.fixed(self._order)
        last = ends(self._order, rollout.cohort_salt, self._rollout.bounds)
        self._waves = [[found[name] for name in self._order[a:b]] for a, b in zip((0, *last), last, strict=False)]
        self._elapsed = plan.reading.seconds if plan.reading is not None else plan.read_s

    def make(self, tagged: int) -> RolloutPlan:
        """With the tagging first, since the waves begin after it."""
        tagging = self._tagging(tagged) if self._rollout.tag else None
        waves = tuple(self._wave(number, devices) for number, devices in enumerate(self._waves))
        return RolloutPlan(
            plan=self._plan,
            rollout=self._rollout,
            waves=waves,
            tagging=tagging,
            quota=self._quota(waves, tagging),
            begins=self._begins,
            order=self._order,
        )

    def _wave(self, number: int, devices: Sequence[_Seen]) -> WaveForecast:
        away = Counter(each.away for each in devices if each.away)
        holding = sum(each.holds for each in devices)
        connected = len(devices) - away.total()
        writing = self._writing(len(devices) - holding, connected)
        last = number == len(self._waves) - 1 and not self._rollout.listens
        bake_s = 0.0 if last or not devices else self._rollout.bake_s
        self._elapsed += self._reading_s(len(devices))
        self._write_for(writing.seconds)
        self._elapsed += bake_s
        return WaveForecast(
            number=number + 1,
            upto=str(self._rollout.planned_waves[number]),
            devices=len(devices),
            connected=connected,
            offline=dict(away.most_common()),
            holding=holding,
            writing=writing,
            bake_s=bake_s,
            over_s=self._elapsed,
            examples=tuple(each.device_id for each in devices[:EXAMPLES]),
        )

    def _writing(self, devices: int, connected: int) -> PathForecast:
        plan = self._plan
        paths = forecast_paths(
            plan.spec, devices, plan.capacity, connected=min(connected, devices), page_rows=plan.page_rows
        )
        return self._at_rate(next(path for path in paths if path.name == plan.path), devices)

    def _at_rate(self, path: PathForecast, devices: int) -> PathForecast:
        """As slow as somebody wants it."""
        if self._rollout.most_per_second is None or not devices:
            return path
        throttle: Throttle = "registry operations" if path.name == BULK else "twin updates"
        step = Step(throttle=throttle, operations=devices, rate=self._rollout.most_per_second, why="--rate")
        if step.seconds <= path.seconds:
            return path
        return replace(path, seconds=step.seconds, steps=(*path.steps, step))

    def _tagging(self, tagged: int) -> Tagging:
        spec = self._rollout.tagging(0)
        holding = sum(each.tag == wave for wave, devices in enumerate(self._waves, start=1) for each in devices)
        devices = sum(map(len, self._waves)) - holding
        first = next(iter(tag_paths(spec, devices, self._plan.capacity).values()))
        writing = self._at_rate(first, devices)
        self._elapsed += self._reading_s(sum(map(len, self._waves)))
        self._write_for(writing.seconds)
        mine = sum(each.tag is not None for devices in self._waves for each in devices)
        return Tagging(
            tag=self._rollout.tag,
            devices=devices,
            holding=holding,
            elsewhere=max(tagged - mine, 0),
            writing=writing,
            quota=Quota(messages=devices, daily=self._plan.quota.daily, arithmetic=(f"tags: {devices:,} × 1",)),
        )

    def _reading_s(self, devices: int) -> float:
        """How long it takes to read devices by their ids."""
        capacity = self._plan.capacity
        return capacity.step("queries", _queries(devices)).seconds if capacity is not None else 0.0

    def _write_for(self, seconds: float) -> None:
        """Let the time of writing go by, in the hours in which anything may be written."""
        window = self._plan.spec.window
        while window is not None and seconds > 0:
            self._elapsed += window.wait_s(self._at + self._elapsed)
            left = window.left_s(self._at + self._elapsed)
            if seconds <= left:
                break
            self._elapsed, seconds = self._elapsed + left, seconds - left
        self._elapsed += seconds

    def _quota(self, waves: Sequence[WaveForecast], tagging: Tagging | None) -> Quota:
        plan = self._plan
        written = sum(wave.devices - wave.holding for wave in waves)
        job = forecast_quota(
            plan.spec,
            written,
            plan.capacity,
            connected=min(sum(wave.connected for wave in waves), written),
            page_rows=plan.page_rows,
            page_bytes=plan.page_bytes,
        )
        again = sum(_queries(wave.devices) for wave in waves)
        messages, lines = job.messages + again, [*job.arithmetic, f"reading each wave before it: {again:,} queries"]
        if tagging is not None:
            read = _queries(sum(wave.devices for wave in waves))
            messages += tagging.quota.messages + read
            lines += [f"tags: {tagging.devices:,} × 1, and {read:,} queries"]
        return replace(job, messages=messages, arithmetic=tuple(lines))


def _queries(devices: int) -> int:
    """Queries that name so many devices."""
    return math.ceil(devices / DEVICES_PER_JOB)
