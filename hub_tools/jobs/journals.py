"""All the journals of a place, told in a line each: for whoever looks for the job that a colleague began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import FILE, JournalView
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.rollout_states import NOTE
from hub_tools.jobs.storage import Jobs
from hub_tools.service import Json
from iot_core.errors import EdgeyardError

__all__ = ["JournalSummary", "summaries"]


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
