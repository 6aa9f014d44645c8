"""The journals of a folder at a glance."""

from __future__ import annotations

from pathlib import Path

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import FILE, Journal
from hub_tools.jobs.journals import summaries
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.rollout_states import NOTE, RolloutState, Step
from iot_core.clock import ManualClock

SPEC = JobSpec(where="*", desired={"rate": 5}, job_id="rollout-1")


def written(folder: Path) -> None:
    with Journal.create(folder, SPEC, operator="anna@here", clock=ManualClock(60.0)) as journal:
        for name in ("d1", "d2"):
            journal.before(name, {"desired.rate": 2}, {"desired": 3})
        journal.outcome("d1", DeviceState.WRITTEN)
        journal.undone("d1", "restored")
        journal.note(NOTE, **Step(state=RolloutState.BAKING).to_json())


def test_a_rollout_is_told_with_its_state_and_its_devices(tmp_path: Path) -> None:
    written(tmp_path)
    [found] = summaries(tmp_path)
    assert (found.operator, found.began[:16], found.rollout, found.undone) == (
        "anna@here",
        "1970-01-01T00:01",
        "baking",
        1,
    )
    assert found.states == {DeviceState.WRITTEN: 1, DeviceState.PENDING: 1}


def test_a_damaged_journal_hides_no_other(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "job-2").mkdir()
    (tmp_path / "job-2" / FILE).write_bytes(b"00000000 {}\n00000000 {}\n")
    good, bad = summaries(tmp_path)
    assert (good.job_id, good.fault) == ("rollout-1", "")
    assert (bad.job_id, "damaged" in bad.fault or "empty" in bad.fault) == ("job-2", True)


def test_a_place_without_journals_has_none(tmp_path: Path) -> None:
    assert summaries(tmp_path / "nothing") == []
