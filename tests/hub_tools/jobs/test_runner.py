"""A job from the first page read to the last acknowledgement."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from hub_tools.jobs.acknowledgement import READ_BACK_MOST, verdict
from hub_tools.jobs.job import JobSpec, MethodCall
from hub_tools.jobs.outcomes import DeviceState
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.planning import NoDeviceMatchesError, PlanDriftError
from hub_tools.jobs.population import Sketch
from hub_tools.jobs.progress import JobProgress, JobReport, Phase
from hub_tools.jobs.runner import JobInterruptedError, run_job
from hub_tools.jobs.twins import CHECKED_MOST
from hub_tools.jobs.window import Window
from hub_tools.service import HubService, HubUnreachableError
from iot_core.hub_errors import hub_error
from tests.hub_tools.jobs.fake_hub import FakeHub, Notes, by_hand

SPEC = JobSpec(where="*", desired={"rate": 5}, job_id="job-1")


async def run(hub: FakeHub, spec: JobSpec = SPEC, *, path: str = "direct", **options: Any) -> JobReport:
    timing = options.pop("timing", None) or by_hand()[1]
    service = cast(HubService, hub)
    way = make_path(path, service, spec, timing=timing)
    return await run_job(service, spec, way, timing=timing, **options)


def states(report: JobReport) -> dict[str, int]:
    return {str(state): number for state, number in report.tally.counts.items() if number}


@pytest.mark.parametrize("path", ["jobs", "direct", "bulk"])
async def test_connected_devices_acknowledge_and_the_job_is_complete(path: str) -> None:
    report = await run(FakeHub("d1", "d2"), path=path)
    assert (states(report), report.complete) == ({"acknowledged": 2}, True)


async def test_offline_devices_stay_written_and_the_job_is_done_in_part() -> None:
    hub = FakeHub("d1", "d2")
    hub.connected["d2"] = False
    clock, timing = by_hand()
    report = await run(hub, timing=timing)
    assert states(report) == {"acknowledged": 1, "written": 1}
    assert (report.complete, report.partly) == (False, True)
    assert clock.monotonic() < 1.0, "nobody waits for a device that is not there"


async def test_devices_that_hold_the_value_are_skipped() -> None:
    hub = FakeHub("d1", "d2")
    hub.write("d1", {"properties": {"desired": {"rate": 5}}})
    report = await run(hub)
    assert (states(report), report.complete) == ({"skipped": 1, "acknowledged": 1}, True)
    assert hub.calls == ["read d1", "patch d2"]


async def test_refusals_are_grouped_by_their_reason() -> None:
    hub = FakeHub("d1", "d2", "d3")
    hub.answers |= {"d1": "too low", "d2": "too low"}
    report = await run(hub)
    assert report.tally.causes == Counter({(DeviceState.REFUSED, "rate: too low"): 2})
    assert report.to_json()["causes"][0]["devices"] == ["d1", "d2"]


async def test_silent_devices_time_out_after_their_twins_were_read() -> None:
    hub = FakeHub("d1")
    hub.answers["d1"] = None
    clock, timing = by_hand()
    report = await run(hub, timeout_s=30.0, timing=timing)
    assert (states(report), clock.monotonic()) == ({"timed out": 1}, pytest.approx(30.0))
    assert hub.calls[-1] == "read d1"


async def test_a_lagging_index_is_made_good_by_reading_the_twin() -> None:
    hub = FakeHub("d1")
    hub.lagging["d1"] = hub.twin("d1")
    assert states(await run(hub, timeout_s=5.0)) == {"acknowledged": 1}


async def test_too_many_silent_devices_are_not_read_one_by_one() -> None:
    hub = FakeHub(*(f"d{number}" for number in range(READ_BACK_MOST + 1)))
    hub.lagging = {name: hub.twin(name) for name in hub.desired}
    report = await run(hub, path="bulk", timeout_s=1.0)
    assert states(report) == {"timed out": READ_BACK_MOST + 1}


async def test_a_condition_confirms_in_place_of_acknowledgements() -> None:
    hub = FakeHub("d1", "d2")
    hub.answers = dict.fromkeys(hub.answers)
    hub.reported["d1"] = {"firmware": "2.0"}
    spec = JobSpec(where="*", desired={"rate": 5}, confirm="properties.reported.firmware = '2.0'")
    assert states(await run(hub, spec, timeout_s=1.0)) == {"acknowledged": 1, "timed out": 1}


async def test_a_plain_reported_value_counts_where_the_population_reports_so() -> None:
    hub = FakeHub("d1")
    hub.answers["d1"] = None
    hub.reported["d1"] = {"rate": 5}
    assert states(await run(hub, plain=True, timeout_s=1.0)) == {"acknowledged": 1}


async def test_without_waiting_written_is_all() -> None:
    report = await run(FakeHub("d1"), JobSpec(where="*", desired={"rate": 5}, wait=False))
    assert (states(report), report.complete) == ({"written": 1}, True)


async def test_tags_are_never_acknowledged() -> None:
    report = await run(FakeHub("d1", connected=False), JobSpec(where="*", tags={"site": "a"}))
    assert report.complete


async def test_nobody_matches() -> None:
    with pytest.raises(NoDeviceMatchesError):
        await run(FakeHub())


async def test_previous_values_are_synced_before_anything_is_written() -> None:
    hub, notes = FakeHub("d1", "d2"), Notes()
    hub.write("d1", {"properties": {"desired": {"rate": 9}}})
    await run(hub, journal=notes)
    first = [line[:3] for line in notes.lines[:3]]
    assert first == [("before", "d1", {"desired.rate": 9}), ("before", "d2", {"desired.rate": None}), ("sync",)]
    assert notes.lines[0][3] == {"desired.rate": 2, "desired": 2}
    kinds = [line[2] if line[0] == "outcome" else line[0] for line in notes.lines[3:]]
    assert kinds == [
        "scheduled",
        "scheduled",
        "sync",
        "written",
        "written",
        "sync",
        "acknowledged",
        "acknowledged",
        "sync",
    ]


async def test_a_call_is_noted_as_soon_as_it_was_answered() -> None:
    notes = Notes()
    await run(FakeHub("d1", "d2"), JobSpec(where="*", method=MethodCall(name="reboot")), journal=notes)
    tail = [line[0] if line[0] == "sync" else line[2] for line in notes.lines[-4:]]
    assert tail == ["acknowledged", "sync", "acknowledged", "sync"]


async def test_a_population_that_drifted_is_refused_before_anything_is_written() -> None:
    hub, planned = FakeHub("d1", "d2"), Sketch()
    planned.add("d1")
    with pytest.raises(PlanDriftError):
        await run(hub, planned=planned, most_drift=0.1)
    assert hub.calls == []


async def test_nothing_is_written_before_the_start_or_outside_the_window() -> None:
    clock, timing = by_hand()
    window = Window.parse("02:00-05:00", "UTC")
    spec = JobSpec(where="*", desired={"rate": 5}, start=clock.now() + 60, window=window)
    await run(FakeHub("d1"), spec, timing=timing)
    assert window.wait_s(clock.now()) == 0.0
    assert clock.monotonic() >= 60


async def test_an_expired_job_writes_nothing_more_and_can_be_resumed() -> None:
    clock, timing = by_hand()
    hub = FakeHub("d1")
    report = await run(hub, JobSpec(where="*", desired={"rate": 5}, expires=clock.now() - 1), timing=timing)
    assert (report.stopped, states(report), hub.calls) == ("expired", {"pending": 1}, [])


async def test_a_stop_takes_effect_at_once() -> None:
    hub, stop = FakeHub("d1", "d2"), asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        stop.set()
        await asyncio.Event().wait()

    hub.patch_twin = never  # type: ignore[assignment, method-assign]
    report = await run(hub, stop=stop)
    assert (report.stopped, states(report)) == ("cancelled", {"scheduled": 2})


async def test_a_hub_that_goes_away_for_good_interrupts_the_job_which_can_be_resumed() -> None:
    hub, notes = FakeHub("d1", "d2"), Notes()

    async def away(*_: object, **__: object) -> None:
        raise HubUnreachableError("The hub does not answer.")

    hub.patch_twin = away  # type: ignore[assignment, method-assign]
    with pytest.raises(JobInterruptedError, match=r"after 0 of 2 devices.*edgeyard job resume job-1"):
        await run(hub, journal=notes)
    assert notes.lines[-1] == ("sync",)


@pytest.mark.parametrize("error", [HubUnreachableError("gone"), hub_error("ThrottlingException", "slow down")])
async def test_a_look_at_the_devices_that_fails_is_made_again(error: Exception) -> None:
    hub = FakeHub("d1")
    write = hub.write

    def write_and_fail_next(name: str, patch: Any) -> None:
        write(name, patch)
        hub.failures.append(error)

    hub.write = write_and_fail_next  # type: ignore[method-assign]
    assert states(await run(hub, timeout_s=5.0)) == {"acknowledged": 1}


async def test_progress_goes_through_the_phases_and_counts_states() -> None:
    seen: list[JobProgress] = []
    await run(FakeHub("d1"), on_progress=seen.append)
    assert list(dict.fromkeys(each.phase for each in seen)) == [
        Phase.READING,
        Phase.WRITING,
        Phase.FOLLOWING,
        Phase.DONE,
    ]
    assert seen[-1].to_json()["states"] == {"acknowledged": 1}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"value": 5, "ac": 200, "av": 4}, ""),
        ({"value": 5, "ac": 200, "av": 3}, None),
        ({"value": 5, "ac": 202, "av": 4}, None),
        ({"value": 1, "ac": 400, "av": 4, "ad": "too low"}, "rate: too low"),
        ({"value": 1, "ac": 500, "av": 4}, "rate: answered 500"),
        ({"value": 5, "ac": 200, "av": "4"}, None),
        (5, None),
        (None, None),
    ],
)
def test_an_acknowledgement_is_for_the_version_that_was_written(answer: Any, said: str | None) -> None:
    desired = {"$version": 4, "$metadata": {"rate": {"$lastUpdatedVersion": 4}}}
    assert verdict(SPEC, desired, {"rate": answer}, version=3) == said


def test_a_twin_as_it_was_before_the_write_says_nothing() -> None:
    desired = {"$version": 3, "$metadata": {"rate": {"$lastUpdatedVersion": 3}}}
    assert verdict(SPEC, desired, {"rate": {"ac": 200, "av": 3}}, version=3) is None


async def test_a_device_that_holds_the_value_only_by_the_lagging_index_is_written_to() -> None:
    hub = FakeHub("d1", "d2")
    hub.write("d1", {"properties": {"desired": {"rate": 5}}})
    hub.lagging = {"d1": hub.twin("d1")}
    hub.write("d1", {"properties": {"desired": {"rate": 7}}})
    await run(hub, JobSpec(where="*", desired={"rate": 5}, wait=False))
    assert hub.twin("d1")["properties"]["desired"]["rate"] == 5


async def test_more_holders_than_a_few_are_not_read_one_by_one() -> None:
    hub = FakeHub(*(f"d{number}" for number in range(CHECKED_MOST + 50)))
    for name in hub.desired:
        hub.write(name, {"properties": {"desired": {"rate": 5}}})
    report = await run(hub)
    assert states(report) == {"skipped": CHECKED_MOST + 50}
    assert len(hub.calls) == CHECKED_MOST
