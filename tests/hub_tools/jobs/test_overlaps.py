"""Which other jobs a plan tells of: the hub's own, and those whose journals lie in the same place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs.forecast import Overlap
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.journals import STATUS_NOTE
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.overlaps import find_overlaps
from hub_tools.jobs.rollout_states import NOTE, RolloutState, Step
from hub_tools.service import HubService
from tests.hub_tools.jobs.fake_hub import FakeHub

SPEC = JobSpec(where="tags.building = 'B1'", desired={"rate": 5, "unit": "C"})
THEIRS = JobSpec(where="tags.floor = 2", desired={"rate": 6}, job_id="job-theirs")


@pytest.fixture
def hub() -> FakeHub:
    hub = FakeHub("d1", "d2", tags={"building": "B1"})
    hub.tags["d1"]["floor"] = 2
    return hub


def begin(folder: Path, spec: JobSpec = THEIRS, *, host_name: str = "", status: Any = None) -> Journal:
    journal = Journal.create(folder, spec, operator="anna@there", host_name=host_name)
    journal.before("d1", {}, {})
    journal.sync()
    if status is not None:
        journal.storage.put(STATUS_NOTE, json.dumps(status).encode())
    return journal


async def overlaps(hub: FakeHub, folder: Path | None = None) -> tuple[Overlap, ...]:
    return await find_overlaps(cast(HubService, hub), SPEC, folder)


async def test_a_job_with_a_journal_is_told_with_its_operator_and_what_both_set(hub: FakeHub, tmp_path: Path) -> None:
    with begin(tmp_path):
        assert await overlaps(hub, tmp_path) == (
            Overlap(
                job_id="job-theirs", status="unfinished", operator="anna@there", devices=1, values=("desired.rate",)
            ),
        )


@pytest.mark.parametrize("state", RolloutState)
async def test_a_rollout_is_told_until_it_has_ended(hub: FakeHub, tmp_path: Path, state: RolloutState) -> None:
    with begin(tmp_path, replace(THEIRS, job_id="rollout-theirs")) as journal:
        journal.note(NOTE, **Step(state=state).to_json())
        journal.sync()
    told = [overlap.status for overlap in await overlaps(hub, tmp_path)]
    assert told == ([] if state in (RolloutState.DONE, RolloutState.ABORTED) else [state.value])


async def test_a_job_that_has_ended_or_was_undone_is_not_told(hub: FakeHub, tmp_path: Path) -> None:
    with begin(tmp_path) as journal:
        journal.outcome("d1", DeviceState.WRITTEN)
    with begin(tmp_path, replace(THEIRS, job_id="job-undone")) as journal:
        journal.undone("d1", "restored")
    assert await overlaps(hub, tmp_path) == ()


async def test_a_job_that_said_its_end_is_not_even_read(hub: FakeHub, tmp_path: Path) -> None:
    with begin(tmp_path, status={"event": "report"}):
        assert await overlaps(hub, tmp_path) == ()
    with begin(tmp_path, replace(THEIRS, job_id="rollout-p"), status={"event": "report", "state": "paused"}):
        assert [overlap.job_id for overlap in await overlaps(hub, tmp_path)] == ["rollout-p"]


@pytest.mark.parametrize(
    ("spec", "host_name"),
    [
        (THEIRS, "another.azure-devices.net"),
        (replace(THEIRS, where="tags.floor = 3"), ""),
        (replace(THEIRS, job_id="rollout-theirs-cohort-1"), ""),
    ],
    ids=["of another hub", "no device of both", "part of a rollout"],
)
async def test_what_does_not_concern_it_is_not_told(
    hub: FakeHub, tmp_path: Path, spec: JobSpec, host_name: str
) -> None:
    with begin(tmp_path, spec, host_name=host_name):
        assert await overlaps(hub, tmp_path) == ()


async def test_a_job_of_the_hub_is_told_and_once_where_it_is_part_of_one_with_a_journal(
    hub: FakeHub, tmp_path: Path
) -> None:
    common = {"status": "running", "queryCondition": "tags.floor = 2"}
    update = {"updateTwin": {"properties": {"desired": {"unit": "F"}}}}
    hub.other_jobs = [{"jobId": "of-somebody", **common, **update}, {"jobId": "job-theirs-p0badcafe", **common}]
    told = {overlap.job_id: overlap.values for overlap in await overlaps(hub)}
    assert told == {"of-somebody": ("desired.unit",), "job-theirs-p0badcafe": ()}
    with begin(tmp_path):
        assert {overlap.job_id for overlap in await overlaps(hub, tmp_path)} == {"of-somebody", "job-theirs"}
