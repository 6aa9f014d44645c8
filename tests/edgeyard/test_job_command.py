"""`edgeyard job`: who may be changed without being asked, and how plans and reports read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from edgeyard.cli import job_run
from edgeyard.cli.hubs import TargetHub
from edgeyard.cli.job_options import capacity_of, share_of
from edgeyard.cli.job_render import plan_lines, report_lines
from edgeyard.cli.job_status import JobStatus, Request
from hub_tools.jobs import Capacity, DeviceState, JobReport, JobSpec, Outcome, make_plan
from hub_tools.jobs.outcomes import Tally
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.storage import storage_of
from hub_tools.service import HubService
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

CLOUD = TargetHub(host_name="fleet.azure-devices.net", policy=None)
LOCAL = TargetHub(host_name="127.0.0.1", policy=None)
SPEC = JobSpec(where="tags.building = 'B1'", desired={"rate": 5}, job_id="job-1")


def order(target: TargetHub, *, yes: bool = False, planned: Sketch | None = None) -> Any:
    return job_run.Order(
        target=target,
        spec=SPEC,
        capacity=None,
        checked="",
        path=None,
        planned=planned,
        drift=0.0,
        timeout_s=1.0,
        yes=yes,
        lines=False,
        jobs=Path(),
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody sits there and types these answers."""
    answers: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: answers.pop(0))
    return answers


def test_a_local_hub_is_changed_without_a_question() -> None:
    order(LOCAL).agree(1_000_000)


def test_many_devices_of_another_hub_want_the_number_typed_back(terminal: list[str]) -> None:
    terminal += ["80,000", "8000"]
    order(CLOUD).agree(80_000)
    with pytest.raises(typer.Exit):
        order(CLOUD).agree(80_000)


def test_yes_alone_is_not_enough_for_many_devices() -> None:
    with pytest.raises(InputError, match="--yes needs --plan"):
        order(CLOUD, yes=True).agree(job_run.MANY_DEVICES)
    order(CLOUD, yes=True, planned=Sketch()).agree(80_000)
    order(CLOUD, yes=True).agree(job_run.MANY_DEVICES - 1)


def test_where_nobody_can_be_asked_a_plan_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(InputError, match="give --plan and --yes"):
        order(CLOUD).agree(80_000)


def test_the_tier_is_asked_for_where_it_is_not_given(terminal: list[str]) -> None:
    terminal += ["S2:10"]
    assert capacity_of(CLOUD, None, "50%") == Capacity(tier="S2", units=10, share=0.5)
    assert capacity_of(LOCAL, None, "100%") is None
    assert capacity_of(LOCAL, "S3", "1") == Capacity(tier="S3")


@pytest.mark.parametrize("text", ["0%", "101%", "-1", "half", ""])
def test_a_budget_is_a_share(text: str) -> None:
    with pytest.raises(InputError, match="--budget"):
        share_of(text)


async def test_another_terminal_stops_a_run_by_a_note(tmp_path: Path) -> None:
    status, elsewhere = (JobStatus(storage_of(tmp_path, "job-1")) for _ in range(2))
    elsewhere.ask_to_stop(Request.mine(None))
    async with job_run.stopping(status) as stop:
        assert not stop.is_set(), "what an earlier run was told does not count"
        elsewhere.ask_to_stop(Request.mine(None))
        await asyncio.wait_for(stop.wait(), 30)
    assert elsewhere.asked_to_stop() is None


def test_what_a_run_last_said_can_be_read_by_others(tmp_path: Path) -> None:
    status = JobStatus(storage_of(tmp_path / "jobs", "job-1"))
    assert status.read() is None
    status.write({"event": "progress", "matched": 1})
    status.write({"event": "report", "matched": 2})
    line = JobStatus(storage_of(tmp_path / "jobs", "job-1")).read()
    assert line is not None
    assert (line["event"], line["matched"]) == ("report", 2)


@pytest.mark.parametrize("name", ["", "../job", "a/b"])
def test_a_job_id_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no job id"):
        storage_of(tmp_path, name)


async def test_a_plan_reads_as_text() -> None:
    hub = FakeHub("d1", "d2", tags={"building": "B1"})
    hub.connected["d2"] = False
    capacity = Capacity.parse("S2:10")
    plan = await make_plan(cast(HubService, hub), SPEC, capacity=capacity, checked="x.json", timing=by_hand()[1])
    text = "\n".join(plan_lines(plan))
    assert "job-1: set desired.rate = 5 on fake.azure-devices.net (S2 with 10 units)" in text
    assert "2 devices match --where: tags.building = 'B1'" in text
    assert "1 connected, 1 offline: 1 never seen" in text
    assert "0 hold the values already and are skipped; values checked against x.json" in text
    assert "2 × desired.rate nothing → 5   (d1, d2)" in text
    assert "these devices acknowledge: 2 not so far" in text


def test_a_report_groups_failures_by_cause_with_examples() -> None:
    tally = Tally()
    for number in range(7):
        tally.add(Outcome(device_id=f"d{number}", state=DeviceState.REFUSED, cause="rate: too low"))
    tally.add(Outcome(device_id="d7", state=DeviceState.WRITTEN))
    report = JobReport(job_id="job-1", matched=8, tally=tally, awaited=True, seconds=2.0, stopped="expired")
    assert list(report_lines(report)) == [
        "job-1: 8 devices in 2.0 s: 1 written, 7 refused",
        "  7 refused: rate: too low   (d0, d1, d2, d3, d4 …)",
        "  1 are not connected: they take it over when they connect",
        "  expired before its end; go on with: edgeyard job resume job-1",
    ]
