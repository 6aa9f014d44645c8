"""The journal on disk: what is in it, also after a crash, and who may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import FILE, Journal, JournalBusyError, JournalView, Standing
from hub_tools.jobs.outcomes import DeviceState
from iot_core.errors import InputError, StoreError

SPEC = JobSpec(where="tags.a = 1", desired={"rate": 5}, reason="quieter", job_id="job-1")
PREVIOUS = {"desired.rate": 2}
VERSIONS = {"desired.rate": 3, "desired": 7}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A journal of two devices, one of them written to."""
    with Journal.create(tmp_path, SPEC, host_name="hub") as journal:
        for name in ("d1", "d2"):
            journal.before(name, PREVIOUS, VERSIONS)
        journal.outcome("d1", DeviceState.SCHEDULED)
        journal.outcome("d1", DeviceState.FAILED, "not connected")
    return tmp_path / "job-1" / FILE


def test_one_that_was_cut_off_before_its_first_entry_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "job-1").mkdir()
    (tmp_path / "job-1" / FILE).touch()
    Journal.create(tmp_path, SPEC).close()
    assert JournalView.look(tmp_path, "job-1").head.spec == SPEC
    with pytest.raises(InputError, match="has a journal already"):
        Journal.create(tmp_path, SPEC)


def test_it_holds_the_job_its_operator_and_every_device(file: Path, tmp_path: Path) -> None:
    head = JournalView.look(tmp_path, "job-1").head
    assert (head.spec, head.host_name, bool(head.operator)) == (SPEC, "hub", True)
    with Journal.open(tmp_path, "job-1") as journal:
        assert journal.standings() == {
            "d1": Standing(state=DeviceState.FAILED, cause="not connected"),
            "d2": Standing(state=DeviceState.PENDING),
        }
        (first, _) = journal.befores()
        assert (first.device_id, first.previous, first.versions) == ("d1", PREVIOUS, VERSIONS)


def test_only_its_owner_may_read_it(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_in_the_file_before_it_is_synced(tmp_path: Path) -> None:
    with Journal.create(tmp_path, SPEC) as journal:
        journal.before("d1", PREVIOUS, VERSIONS)
        assert journal.standings() == {}
        journal.sync()
        assert list(journal.standings()) == ["d1"]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_torn_by_a_crash_is_cut_off(file: Path, tmp_path: Path, cut: int) -> None:
    file.write_bytes(file.read_bytes()[:-cut])
    with Journal.open(tmp_path, "job-1") as journal:
        assert journal.standings()["d1"].state is DeviceState.SCHEDULED
        journal.outcome("d1", DeviceState.WRITTEN)
    with Journal.open(tmp_path, "job-1") as journal:
        assert journal.standings()["d1"].state is DeviceState.WRITTEN


def test_a_last_line_with_wrong_bytes_is_cut_off_too(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-10] + b"?" * 9 + b"\n")
    with Journal.open(tmp_path, "job-1") as journal:
        assert journal.standings()["d1"].state is DeviceState.SCHEDULED


def test_damage_in_the_middle_is_told(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    place = content.index(b'"d2"')
    file.write_bytes(content[:place] + b"x" + content[place + 1 :])
    with Journal.open(tmp_path, "job-1") as journal, pytest.raises(StoreError, match="damaged"):
        journal.standings()


def test_a_second_operator_is_told_who_works_on_it(file: Path, tmp_path: Path) -> None:
    with Journal.open(tmp_path, "job-1"), pytest.raises(JournalBusyError, match="job-1 is being worked on"):
        Journal.open(tmp_path, "job-1")


def test_a_job_has_one_journal(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a journal already"):
        Journal.create(tmp_path, SPEC)


@pytest.mark.parametrize("name", ["job-2", "../job-1", ""])
def test_a_job_without_a_journal_is_told(file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no journal|no job id"):
        Journal.open(tmp_path, name)
