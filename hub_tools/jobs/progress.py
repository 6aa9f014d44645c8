"""What a job tells of itself: how far it is while it runs, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hub_tools.jobs.outcomes import DeviceState, Tally
from hub_tools.service import Json

__all__ = ["JobProgress", "JobReport", "Phase"]


class Phase(StrEnum):
    """What a job is at."""

    READING = "reading"
    WAITING = "waiting"
    WRITING = "writing"
    FOLLOWING = "following"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """Devices by state, how many a second get their change, and seconds until all have it (None: not known yet)."""

    phase: Phase
    matched: int
    states: Mapping[DeviceState, int]
    rate: float = 0.0
    remaining_s: float | None = None

    def to_json(self) -> Json:
        """One line of `--output json`."""
        states = {state.value: number for state, number in self.states.items() if number}
        left = None if self.remaining_s is None else round(self.remaining_s, 1)
        return {
            "event": "progress",
            "phase": self.phase.value,
            "matched": self.matched,
            "states": states,
            "rate": round(self.rate, 1),
            "remaining": left,
        }


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """How a job ended. `stopped` says why it did not come to its end: it can be resumed then."""

    job_id: str
    matched: int
    tally: Tally
    awaited: bool
    seconds: float
    stopped: str = ""

    def count(self, *states: DeviceState) -> int:
        """Devices in any of the states."""
        return sum(self.tally.counts[state] for state in states)

    @property
    def succeeded(self) -> int:
        """Devices that have what was wanted, as far as that was to be found out."""
        good = [DeviceState.ACKNOWLEDGED, DeviceState.SKIPPED]
        return self.count(*good, *([] if self.awaited else [DeviceState.WRITTEN]))

    @property
    def complete(self) -> bool:
        """Whether every matched device followed."""
        return not self.stopped and self.succeeded == self.matched

    @property
    def partly(self) -> bool:
        """Whether at least something was done."""
        return self.count(DeviceState.ACKNOWLEDGED, DeviceState.SKIPPED, DeviceState.WRITTEN) > 0

    def to_json(self) -> Json:
        """The last line of `--output json`."""
        causes = [
            {"state": state.value, "cause": cause, "count": number, "devices": self.tally.examples[state, cause]}
            for (state, cause), number in self.tally.causes.most_common()
        ]
        return {
            "event": "report",
            "job": self.job_id,
            "matched": self.matched,
            "states": {state.value: self.tally.counts[state] for state in DeviceState if self.tally.counts[state]},
            "causes": causes,
            "complete": self.complete,
            "partly": self.partly,
            "stopped": self.stopped or None,
            "seconds": round(self.seconds, 3),
        }
