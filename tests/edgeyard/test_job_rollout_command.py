"""`edgeyard job rollout`: who may be changed without being asked, and what other commands do with a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeyard.cli import job_rollout
from edgeyard.cli.hubs import TargetHub
from hub_tools.jobs import DeviceState, JobSpec, Rollout
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.rollout_states import NOTE, RolloutState, Step
from iot_core.errors import InputError

CLOUD = TargetHub(host_name="fleet.azure-devices.net", policy=None)
LOCAL = TargetHub(host_name="127.0.0.1", policy=None)
ROLLOUT = Rollout(JobSpec(where="*", desired={"rate": 5}, job_id="rollout-1"))


def order(target: TargetHub, folder: Path = Path()) -> job_rollout.RolloutOrder:
    return job_rollout.RolloutOrder(
        target=target,
        capacity=None,
        path="direct",
        planned=None,
        drift=0.0,
        timeout_s=1.0,
        yes=True,
        lines=True,
        jobs=folder,
    )


def test_yes_is_not_enough_for_many_devices_of_another_hub() -> None:
    with pytest.raises(InputError, match="--approve"):
        order(CLOUD).agree(ROLLOUT, 100)
    order(CLOUD).agree(ROLLOUT, 99)
    order(CLOUD).agree(ROLLOUT.approve(), 100)
    order(LOCAL).agree(ROLLOUT, 1_000_000)


def test_a_rollout_is_never_resumed_as_a_job_without_waves(tmp_path: Path) -> None:
    with Journal.create(tmp_path, ROLLOUT.spec) as journal:
        for verb in ("resume", "retry"):
            with pytest.raises(InputError, match="rollout --resume rollout-1"):
                job_rollout.check_waves(journal, verb)


def test_a_rollout_that_is_over_can_be_retried(tmp_path: Path) -> None:
    with Journal.create(tmp_path, ROLLOUT.spec) as journal:
        journal.outcome("d1", DeviceState.FAILED, "why not")
        journal.note(NOTE, **Step(state=RolloutState.ABORTED).to_json())
        journal.sync()
        job_rollout.check_waves(journal, "retry")


def test_a_job_without_waves_is_no_concern_here(tmp_path: Path) -> None:
    with Journal.create(tmp_path, JobSpec(where="*", desired={"rate": 5}, job_id="job-1")) as journal:
        job_rollout.check_waves(journal, "resume")


async def test_a_rollout_that_was_cut_off_before_its_first_step_says_so(tmp_path: Path) -> None:
    Journal.create(tmp_path, ROLLOUT.spec).close()
    with pytest.raises(InputError, match="nothing was changed"):
        await order(LOCAL, tmp_path).go_on("rollout-1")
