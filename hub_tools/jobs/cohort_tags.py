"""Gives the devices of a rollout the tag that says in which wave each is, as one job a wave with a journal of its own.

So `undo` takes the tags of a wave back, and a run that was cut off goes on where it was: devices that hold their
wave's number already are not written to. Nothing relies on the tags being found again by a query, whose index lags:
the waves name their devices by id. Yet the tagging ends only when the index shows the tags, or after `INDEX_S`, so that
whoever asks for a wave finds all of it, and no wave is written to by ETags that the index does not know yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Any

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.forecast import BULK, DIRECT, PathForecast, fastest, forecast_paths
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.outcomes import FINAL, DeviceState
from hub_tools.jobs.part import note_devices
from hub_tools.jobs.paths import Path, make_path
from hub_tools.jobs.progress import JobProgress
from hub_tools.jobs.resume import FAILED_STATES, resume_job
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.runner import GONE, carry_on
from hub_tools.jobs.storage import Jobs, storage_of
from hub_tools.jobs.throttles import Capacity, query_pace
from hub_tools.jobs.timing import Timing, pauses
from hub_tools.service import HubService

__all__ = ["CohortTags", "tag_paths"]

INDEX_S = 120.0
"""How long the index of queries may take; the service names seconds, and under load minutes."""
FIRST_LOOK_S = 0.25
_TAGGED = (DeviceState.WRITTEN, DeviceState.SKIPPED)


def tag_paths(spec: JobSpec, devices: int, capacity: Capacity | None) -> dict[str, PathForecast]:
    """How long a tagging takes by each path that it can take; the first is the fastest."""
    paths = tuple(path for path in forecast_paths(spec, devices, capacity) if path.name in (DIRECT, BULK))
    first = fastest(paths)
    return {path.name: path for path in sorted(paths, key=lambda path: path.name != first)}


@dataclass(kw_only=True)
class CohortTags:
    """Tags the devices of a rollout, wave by wave."""

    service: HubService
    rollout: Rollout
    jobs: Folder | Jobs
    host_name: str
    capacity: Capacity | None
    timing: Timing
    stop: asyncio.Event
    on_progress: Callable[[JobProgress], None]

    async def carry_out(self, waves: Sequence[Sequence[str]]) -> str:
        """Tag the devices of each wave; why it came to no end, or "" when the index shows the tags.

        Raises what `runner.run_job` raises once it writes.
        """
        expected: Counter[int] = Counter()
        for wave, devices in enumerate(waves):
            if self.stop.is_set():
                return "stopped"
            with self._journal(self.rollout.tagging(wave)) as journal:
                if stopped := await self._tag(journal, devices) or _missing(journal):
                    return f"wave {wave + 1} is not tagged yet: {stopped}"
                expected[wave + 1] = sum(item.state in _TAGGED for item in journal.standings().values())
        await self._shown(expected)
        return "stopped" if self.stop.is_set() else ""

    def _journal(self, spec: JobSpec) -> Journal:
        storage = storage_of(self.jobs, spec.job_id)
        if storage.exists() and any(storage.lines()):
            return Journal.open(self.jobs, spec.job_id)
        return Journal.create(self.jobs, spec, host_name=self.host_name)

    async def _tag(self, journal: Journal, devices: Sequence[str]) -> str:
        """Finish what was begun, then tag the devices that the journal does not know; why that came to no end."""
        known = journal.standings()
        if any(
            item.state not in (*FINAL, DeviceState.WRITTEN) or item.state in FAILED_STATES for item in known.values()
        ):
            path = self._path(journal.head.spec, len(devices))
            report = await resume_job(self.service, journal, path, retry=True, **self._options())
            if report.stopped:
                return report.stopped
        fresh = [name for name in devices if name not in known]
        remaining = await note_devices(self.service, journal, fresh, capacity=self.capacity, timing=self.timing)
        if not remaining.to_write:
            return ""
        path = self._path(journal.head.spec, len(remaining.to_write))
        report = await carry_on(self.service, journal.head.spec, path, remaining, journal=journal, **self._options())
        return report.stopped

    def _path(self, spec: JobSpec, devices: int) -> Path:
        name = next(iter(tag_paths(spec, devices, self.capacity)))
        most = self.rollout.most_per_second
        return make_path(name, self.service, spec, capacity=self.capacity, most_per_second=most, timing=self.timing)

    def _options(self) -> dict[str, Any]:
        return {
            "capacity": self.capacity,
            "on_progress": self.on_progress,
            "stop": self.stop,
            "timing": self.timing,
        }

    async def _shown(self, expected: Counter[int]) -> None:
        """Returns when queries find all the tags, or know them no sooner than may be waited for."""
        pace, clock = query_pace(self.capacity, self.timing), self.timing.clock
        deadline, waits = clock.monotonic() + INDEX_S, pauses(FIRST_LOOK_S)
        while not self.stop.is_set():
            await pace.turn()
            found = await self._found()
            if all(found[wave] >= number for wave, number in expected.items()) or clock.monotonic() >= deadline:
                return
            await self.timing.sleep(next(waits))

    async def _found(self) -> Counter[int]:
        """Devices of the rollout by the tag that the index shows."""
        tag, where = f"tags.{self.rollout.tag}", self.rollout.spec.where
        condition = "" if where.strip() == EVERY_DEVICE else f" WHERE {where}"
        text = f"SELECT {tag} AS wave, COUNT() AS n FROM devices{condition} GROUP BY {tag}"
        rows = [row async for row in self.service.query(text)]
        return Counter({row["wave"]: int(row["n"]) for row in rows if isinstance(row.get("wave"), int)})


def _missing(journal: Journal) -> str:
    """Devices that have no tag though they are there, with the reason of one of them."""
    failed = [item.cause for item in journal.standings().values() if item.state in FAILED_STATES and item.cause != GONE]
    return f"{len(failed):,} devices failed, such as one with: {failed[0]}" if failed else ""
