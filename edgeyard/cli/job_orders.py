"""`edgeyard job approve` and `pause`: what an operator tells a rollout that runs elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeyard.cli.hubs import HomeOption
from edgeyard.cli.job_journals import JournalOption, open_jobs
from edgeyard.cli.job_options import ReasonOption
from edgeyard.cli.job_status import JobStatus, Request
from edgeyard.cli.render import print_note, stdout
from hub_tools.jobs.journal import JournalView
from hub_tools.jobs.rollout import PLAN_NOTE, is_rollout
from hub_tools.jobs.rollout_states import ENDED, NOTE, RolloutState, Step
from iot_core.errors import InputError

__all__ = ["approve", "pause"]

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT")]
_BEFORE_A_WAVE = frozenset({RolloutState.PLANNED, RolloutState.TAGGING, RolloutState.WAITING})


def approve(
    job_id: RolloutArgument,
    reason: ReasonOption = None,
    journal: JournalOption = None,
    home: HomeOption = None,
) -> None:
    """Let the next wave of a rollout begin that was started with --approve, wherever it runs.

    Example: edgeyard job approve rollout-0123456789ab --reason "canaries look good"
    """
    with open_jobs(journal, home) as jobs:
        view = JournalView.look(jobs, job_id)
        request = Request.mine(reason, wave=_wave_to_approve(view))
        JobStatus(view.storage).approve(request)
    stdout.print(f"wave {request.wave} of {job_id} may begin", markup=False)
    print_note(f"where no process runs it, it begins with: edgeyard job rollout --resume {job_id}")


def pause(
    job_id: RolloutArgument,
    reason: ReasonOption = None,
    journal: JournalOption = None,
    home: HomeOption = None,
) -> None:
    """Let a rollout stand still, wherever it runs: before its next write, within a wave as well as between two.

    Example: edgeyard job pause rollout-0123456789ab --reason "alarms in B1"
    """
    with open_jobs(journal, home) as jobs:
        view = JournalView.look(jobs, job_id)
        if (step := _step(view)).state is RolloutState.PAUSED:
            raise InputError(f"{job_id} stands still already: {step.cause or 'paused'}")
        JobStatus(view.storage).ask_to_stop(Request.mine(reason))
    stdout.print(f"{job_id} is told to pause", markup=False)
    print_note(f"go on with: edgeyard job rollout --resume {job_id}")


def _step(view: JournalView) -> Step:
    """Where the rollout stands; InputError for what is none, and where nothing is left to be told."""
    job_id, step = view.head.spec.job_id, Step.from_json(view.last(NOTE))
    if not is_rollout(job_id):
        raise InputError(f"{job_id} is no rollout: it has no waves (edgeyard job cancel {job_id} stops it)")
    if step.state in ENDED:
        raise InputError(f"{job_id} is {step.state.value}: there is nothing left to approve or to pause")
    return step


def _wave_to_approve(view: JournalView) -> int:
    """The wave that waits, from 1."""
    job_id, step = view.head.spec.job_id, _step(view)
    if not view.last(PLAN_NOTE).get("by_hand", True):
        raise InputError(f"{job_id} asks nobody: it was begun without --approve")
    state = step.paused_in if step.state is RolloutState.PAUSED and step.paused_in else step.state
    if state not in _BEFORE_A_WAVE:
        raise InputError(
            f"wave {step.wave + 1} of {job_id} is {state.value}: approve the next one when its gates have held"
        )
    return step.wave + 1
