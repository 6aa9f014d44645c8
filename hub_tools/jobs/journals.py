"""All the journals of a place, told in a line each: for whoever looks for the job that a colleague began."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import FILE, JournalView
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.rollout import rollout_of
from hub_tools.jobs.rollout_states import ENDED, NOTE
from hub_tools.jobs.storage import Jobs, storage_of
from hub_tools.service import Json
from iot_core.errors import EdgeyardError

__all__ = ["STATUS_NOTE", "JournalSummary", "summaries", "unended"]

STATUS_NOTE = "status"
"""The note beside a journal with the last line of JSON that a run of the job said."""
UNDER_WAY = (DeviceState.PENDING, DeviceState.SCHEDULED)


@dataclass(frozen=True, kw_only=True)
class JournalSummary:
    """A journal at a glance. `rollout` is the state of one, "" for a job without waves; `undone` counts devices.

    Of a journal that cannot be read there is only its id and the reason, `fault`.
    """

    job_id: str
    spec: JobSpec | None = None
    operator: str = ""
    host_name: str = ""
    began: str = ""
    rollout: str = ""
    states: Mapping[DeviceState, int] = field(default_factory=dict)
    undone: int = 0
    fault: str = ""

    @property
    def may_go_on(self) -> bool:
        """Whether devices are left that the job may still change, by whoever runs or resumes it."""
        if self.spec is None or self.undone:
            return False
        if self.rollout:
            return self.rollout not in ENDED
        return not self.states or any(self.states.get(state) for state in UNDER_WAY)

    def to_json(self) -> Json:
        """For `--output json`."""
        return {
            "job": self.job_id,
            "spec": self.spec and self.spec.to_json(),
            "operator": self.operator,
            "hub": self.host_name,
            "began": self.began,
            "rollout": self.rollout or None,
            "states": {state.value: number for state, number in self.states.items()},
            "undone": self.undone,
            "fault": self.fault or None,
        }


def summaries(jobs: Path | Jobs) -> list[JournalSummary]:
    """Every journal of a place, the newest first; StoreError where the place cannot be reached."""
    found = [_summary(jobs, job_id) for job_id in _job_ids(jobs)]
    return sorted(found, key=lambda each: (each.began, each.job_id), reverse=True)


def unended(jobs: Path | Jobs) -> list[JournalSummary]:
    """The jobs of a place that may go on, parts of rollouts left out; StoreError where the place cannot be reached.

    Journals of jobs whose run said that it was over are not read: they may be many, and long.
    """
    seem = [job_id for job_id in _job_ids(jobs) if not rollout_of(job_id) and not _said_the_end(jobs, job_id)]
    return [found for found in (_summary(jobs, job_id) for job_id in seem) if found.may_go_on]


def _said_the_end(jobs: Path | Jobs, job_id: str) -> bool:
    try:
        line = json.loads(storage_of(jobs, job_id).get(STATUS_NOTE) or b"{}")
    except ValueError:
        return False
    if not isinstance(line, dict):
        return False
    return line.get("event") == "report" and ("state" not in line or line["state"] in ENDED)


def _job_ids(jobs: Path | Jobs) -> list[str]:
    if isinstance(jobs, Path):
        return [file.parent.name for file in jobs.glob(f"*/{FILE}")]
    return jobs.job_ids()


def _summary(jobs: Path | Jobs, job_id: str) -> JournalSummary:
    try:
        view = JournalView.look(jobs, job_id)
        standings = view.standings().values()
        return JournalSummary(
            job_id=job_id,
            spec=view.head.spec,
            operator=view.head.operator,
            host_name=view.head.host_name,
            began=view.head.began,
            rollout=str(view.last(NOTE).get("state", "")),
            states=Counter(standing.state for standing in standings),
            undone=sum(bool(standing.undone) for standing in standings),
        )
    except EdgeyardError as error:
        return JournalSummary(job_id=job_id, fault=str(error))
