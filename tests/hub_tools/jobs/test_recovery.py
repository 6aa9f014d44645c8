"""Resume, retry, undo and explain, from the journal of a job that was cut off at any place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs.explain import explain
from hub_tools.jobs.job import JobSpec, MethodCall
from hub_tools.jobs.journal import Journal, JournalView
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.progress import JobReport
from hub_tools.jobs.resume import never_written, resume_job
from hub_tools.jobs.runner import run_job
from hub_tools.jobs.undo import Undone, undo_job
from hub_tools.service import HubService
from iot_core.errors import InputError
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

DEVICES = tuple(f"d{number}" for number in range(1, 6))
SPEC = JobSpec(where="*", desired={"rate": 5}, tags={"wave": "b"}, job_id="job-1")


class PowerCut(Exception):
    """The process ends here: nothing that was not synced is kept."""


class CutOff(Journal):
    """A journal whose process ends at the n-th sync, before or after it is on disk."""

    cut_at, after = 0, False

    def sync(self) -> None:
        CutOff.cut_at -= 1
        if CutOff.cut_at == 0:
            if CutOff.after:
                super().sync()
            self._waiting.clear()
            raise PowerCut
        super().sync()


def service(hub: FakeHub) -> HubService:
    return cast(HubService, hub)


async def run(hub: FakeHub, journal: Journal, *, path: str = "direct") -> JobReport:
    timing, spec = by_hand()[1], journal.head.spec
    way = make_path(path, service(hub), spec, timing=timing)
    return await run_job(service(hub), spec, way, journal=journal, timing=timing)


async def resume(hub: FakeHub, tmp_path: Path, **options: Any) -> JobReport:
    timing = by_hand()[1]
    with Journal.open(tmp_path, "job-1") as journal:
        spec = journal.head.spec
        way = make_path("direct", service(hub), spec, timing=timing)
        if never_written(journal):
            journal.start_over()
            return await run_job(service(hub), spec, way, journal=journal, timing=timing)
        return await resume_job(service(hub), journal, way, timing=timing, **options)


def rates(hub: FakeHub) -> dict[str, Any]:
    return {name: hub.twin(name)["properties"]["desired"].get("rate") for name in hub.desired}


async def done(hub: FakeHub, tmp_path: Path, spec: JobSpec = SPEC) -> JobReport:
    """The job run to its end on a fleet of which d1 had the rate 2 and d2 the rate 3."""
    for name, rate in (("d1", 2), ("d2", 3)):
        hub.write(name, {"properties": {"desired": {"rate": rate}}})
    with Journal.create(tmp_path, spec) as journal:
        return await run(hub, journal)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 9))
async def test_a_job_cut_off_at_any_step_goes_on_without_repeating_or_leaving_out(
    tmp_path: Path, step: int, after: bool
) -> None:
    hub = FakeHub(*DEVICES)
    Journal.create(tmp_path, SPEC).close()
    CutOff.cut_at, CutOff.after = step, after
    journal = CutOff.open(tmp_path, "job-1")
    cut = False
    try:
        await run(hub, journal)
    except PowerCut:
        cut = True
    CutOff.cut_at = 0
    journal.close()
    report = await resume(hub, tmp_path)
    assert rates(hub) == dict.fromkeys(DEVICES, 5)
    assert report.matched == len(DEVICES)
    assert report.complete
    assert [section.version for section in hub.desired.values()] == [2] * len(DEVICES), "each written exactly once"
    assert cut or step > 4


async def test_a_device_in_doubt_is_asked_itself_since_the_index_lags(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES, connected=False)
    hub.lagging = {name: hub.twin(name) for name in DEVICES}
    with Journal.create(tmp_path, SPEC) as journal:
        for name in DEVICES:
            journal.before(name, {"desired.rate": None, "tags.wave": None}, {"desired": 1})
        journal.outcome("d1", DeviceState.SCHEDULED)
    hub.write("d1", SPEC.patch())
    await resume(hub, tmp_path)
    assert {section.version for section in hub.desired.values()} == {2}, "each written once"


async def test_a_method_that_may_have_been_called_is_never_called_again(tmp_path: Path) -> None:
    hub, spec = FakeHub(*DEVICES), JobSpec(where="*", method=MethodCall(name="reboot"), job_id="job-1")
    with Journal.create(tmp_path, spec) as journal:
        for name in DEVICES:
            journal.before(name, {}, {})
        journal.outcome("d1", DeviceState.SCHEDULED)
        journal.outcome("d2", DeviceState.ACKNOWLEDGED)
    report = await resume(hub, tmp_path)
    assert sorted(hub.calls) == ["reboot d3", "reboot d4", "reboot d5"]
    assert report.count(DeviceState.FAILED) == 1
    assert report.tally.examples[DeviceState.FAILED, "it was cut off here: it may or may not have been done"] == ["d1"]


async def test_retry_is_for_those_that_failed_and_no_others(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    hub.answers |= {"d3": "out of range", "d4": None}
    report = await done(hub, tmp_path)
    assert (report.count(DeviceState.REFUSED), report.count(DeviceState.TIMED_OUT)) == (1, 1)
    hub.answers |= {"d3": "ok", "d4": "ok"}
    hub.calls.clear()
    again = await resume(hub, tmp_path, retry=True)
    assert again.complete
    assert [call for call in hub.calls if call.startswith("patch")] == ["patch d3", "patch d4"]


async def test_retry_writes_nothing_to_those_that_have_said_yes_since(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    hub.answers |= {"d3": "out of range", "d4": None, "d5": None}
    await done(hub, tmp_path)
    hub.answers |= {"d3": "ok", "d4": "ok"}
    hub.calls.clear()
    for name in ("d3", "d4"):
        hub.answer(name, SPEC.desired)
    report = await resume(hub, tmp_path, retry=True)
    assert [call for call in hub.calls if call.startswith("patch")] == ["patch d5"]
    assert (report.count(DeviceState.ACKNOWLEDGED), report.count(DeviceState.TIMED_OUT)) == (4, 1)


async def test_what_was_written_a_second_time_is_still_undone(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    hub.answers["d1"] = "no"
    await done(hub, tmp_path)
    await resume(hub, tmp_path, retry=True)
    assert hub.desired["d1"].version == 4
    assert (await undo(hub, tmp_path)).complete
    assert rates(hub)["d1"] == 2


async def test_a_device_that_is_gone_since_is_told(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    hub.answers["d5"] = "no"
    await done(hub, tmp_path)
    del hub.desired["d5"]
    report = await resume(hub, tmp_path, retry=True)
    assert report.tally.examples[DeviceState.FAILED, "no such device"] == ["d5"]


async def undo(hub: FakeHub, tmp_path: Path) -> Any:
    with Journal.open(tmp_path, "job-1") as journal:
        return await undo_job(service(hub), journal, timing=by_hand()[1])


async def test_undo_gives_each_device_its_own_previous_values_back(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES, tags={"building": "B1"})
    hub.tags["d2"]["wave"] = "a"
    await done(hub, tmp_path)
    report = await undo(hub, tmp_path)
    assert (report.complete, report.counts[Undone.RESTORED]) == (True, 5)
    assert rates(hub) == {"d1": 2, "d2": 3, "d3": None, "d4": None, "d5": None}
    assert [hub.tags[name] for name in ("d1", "d2")] == [{"building": "B1"}, {"building": "B1", "wave": "a"}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"properties": {"desired": {"rate": 9}}}, "desired.rate is no longer what the job set"),
        ({"properties": {"desired": {"rate": 6}}}, "desired.rate is no longer what the job set"),
        ({"tags": {"wave": "c"}}, "tags.wave is no longer what the job set"),
    ],
)
async def test_undo_leaves_alone_what_somebody_changed_since(tmp_path: Path, change: Any, reason: str) -> None:
    hub = FakeHub(*DEVICES)
    await done(hub, tmp_path)
    hub.write("d1", change)
    held = hub.twin("d1")
    report = await undo(hub, tmp_path)
    assert report.left == {"d1": reason}
    assert hub.twin("d1") == held
    assert rates(hub)["d2"] == 3


async def test_undo_leaves_alone_what_somebody_set_to_the_same_value_again(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    await done(hub, tmp_path)
    for rate in (7, 5):
        hub.write("d1", {"properties": {"desired": {"rate": rate}}})
    report = await undo(hub, tmp_path)
    assert list(report.left) == ["d1"]
    assert "set again" in report.left["d1"]


async def test_undo_does_not_mind_changes_of_other_properties(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    await done(hub, tmp_path)
    hub.write("d1", {"properties": {"desired": {"other": 1}}, "tags": {"floor": 3}})
    assert (await undo(hub, tmp_path)).complete
    assert (rates(hub)["d1"], hub.tags["d1"]) == (2, {"floor": 3})


async def test_undo_trusts_the_twin_where_the_index_lags(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    hub.lagging = {name: hub.twin(name) for name in DEVICES}
    spec = JobSpec(where="*", desired={"rate": 5}, wait=False, job_id="job-1")
    with Journal.create(tmp_path, spec) as journal:
        await run(hub, journal)
    assert (await undo(hub, tmp_path)).complete
    assert set(rates(hub).values()) == {None}


async def test_undo_twice_does_nothing_twice(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    await done(hub, tmp_path)
    await undo(hub, tmp_path)
    hub.write("d1", {"properties": {"desired": {"rate": 8}}})
    again = await undo(hub, tmp_path)
    assert again.counts.total() == 0
    assert rates(hub)["d1"] == 8


async def test_a_method_cannot_be_undone(tmp_path: Path) -> None:
    spec = JobSpec(where="*", method=MethodCall(name="reboot"), job_id="job-1")
    Journal.create(tmp_path, spec).close()
    with pytest.raises(InputError, match="cannot be undone"):
        await undo(FakeHub(), tmp_path)


async def why(hub: FakeHub, tmp_path: Path, device_id: str) -> str:
    return (await explain(service(hub), JournalView.look(tmp_path, "job-1"), device_id)).why


async def test_a_device_is_explained_while_somebody_works_on_the_job(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES)
    await done(hub, tmp_path)
    with Journal.open(tmp_path, "job-1"):
        assert "took the change over" in await why(hub, tmp_path, "d1")


async def test_every_device_is_explained(tmp_path: Path) -> None:
    hub = FakeHub(*DEVICES, "other")
    hub.tags["other"] = {"lab": True}
    hub.answers["d3"] = "out of range"
    await done(hub, tmp_path, JobSpec(where="NOT IS_DEFINED(tags.lab)", desired={"rate": 5}, job_id="job-1"))
    assert "took the change over" in await why(hub, tmp_path, "d1")
    assert "refused it (rate: out of range)" in await why(hub, tmp_path, "d3")
    assert "did not match NOT IS_DEFINED(tags.lab)" in await why(hub, tmp_path, "other")
    assert "no such device" in await why(hub, tmp_path, "nobody")
    hub.write("d1", {"properties": {"desired": {"rate": 9}}})
    assert "somebody set another value since" in await why(hub, tmp_path, "d1")
    await undo(hub, tmp_path)
    assert "undone: restored" in await why(hub, tmp_path, "d2")
