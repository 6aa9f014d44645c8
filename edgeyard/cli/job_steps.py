"""The steps of a rollout as they are taken: for people, as lines of JSON, and for other terminals."""

from __future__ import annotations

import time

from edgeyard.cli.job_render import print_line
from edgeyard.cli.job_status import JobStatus
from edgeyard.cli.render import stdout
from hub_tools.jobs.rollout_run import RolloutProgress
from hub_tools.jobs.rollout_states import RolloutState
from hub_tools.service import Json

__all__ = ["ShownSteps"]


class ShownSteps:
    """Prints steps here and writes them down; `last` is the last one."""

    def __init__(self, status: JobStatus, *, lines: bool) -> None:
        self._status = status
        self._lines = lines
        self.last: Json = {}

    def step(self, step: RolloutProgress) -> None:
        self.last = step.to_json()
        self._status.write(self.last)
        if self._lines:
            print_line(self.last)
        elif text := _step_text(step):
            stdout.print(text, markup=False, soft_wrap=True)


def _step_text(step: RolloutProgress) -> str:
    """A line for what somebody at a terminal wants to know of a step; "" for nothing."""
    counts = ", ".join(f"{number:,} {state.value}" for state, number in step.states.items() if number) or "no devices"
    wave = f"wave {step.wave} of {step.of}"
    if step.state is RolloutState.TAGGING:
        return "gives devices the tag of their wave"
    if step.state is RolloutState.RUNNING:
        return f"{wave}: begins"
    if step.state is RolloutState.BAKING:
        if not step.until or step.until <= time.time():
            return f"{wave}: {counts}"
        return f"{wave}: {counts}; its gates are looked at {time.strftime('at %H:%M:%S', time.localtime(step.until))}"
    return ""
