"""Ways to the devices: what each sends, how refusals are told, what is tried again."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from hub_tools.jobs.job import JobSpec, MethodCall
from hub_tools.jobs.job_service import hub_job_body
from hub_tools.jobs.outcomes import DeviceState, Outcome
from hub_tools.jobs.paths import make_path
from hub_tools.jobs.throttles import Capacity
from hub_tools.service import HubService, HubUnreachableError, Json
from iot_core.errors import HubError, InputError
from iot_core.hub_errors import hub_error
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

SPEC = JobSpec(where="tags.building = 'B1'", desired={"rate": 5}, job_id="job-1")
REBOOT = JobSpec(where="*", method=MethodCall(name="reboot"), job_id="job-2")
THROTTLED = hub_error("ThrottlingException", "slow down")


async def outcomes(hub: FakeHub, name: str, spec: JobSpec = SPEC, **options: object) -> dict[str, Outcome]:
    _, timing = by_hand()
    path = make_path(name, cast(HubService, hub), spec, **{"timing": timing, **options})  # type: ignore[arg-type]
    return {outcome.device_id: outcome async for outcome in path.carry_out(dict.fromkeys(hub.desired, ""))}


@pytest.mark.parametrize("path", ["jobs", "direct", "bulk"])
async def test_every_path_writes_the_same_and_tells_of_each_device(path: str) -> None:
    hub = FakeHub("d1", "d2")
    found = await outcomes(hub, path)
    assert {name: outcome.state for name, outcome in found.items()} == dict.fromkeys(("d1", "d2"), DeviceState.WRITTEN)
    assert hub.twin("d2")["properties"]["desired"]["rate"] == 5


async def test_the_job_service_gets_devices_by_id_so_that_no_other_one_is_written_to() -> None:
    hub = FakeHub("d1", "d2")
    await outcomes(hub, "jobs")
    (job,) = hub.jobs.values()
    assert job["queryCondition"] == "deviceId IN ['d1','d2']"
    assert job["updateTwin"] == {"etag": "*", "properties": {"desired": {"rate": 5}}}


async def test_many_devices_are_split_into_jobs_whose_conditions_fit() -> None:
    hub = FakeHub(*(f"a-device-with-a-long-name-{number:04}" for number in range(600)))
    assert len(await outcomes(hub, "jobs")) == 600
    assert len(hub.jobs) == 3


async def test_a_job_waits_for_a_free_slot() -> None:
    hub = FakeHub("d1")
    hub.failures += [hub_error("ThrottlingMaxActiveJobCountExceeded", "all slots taken")] * 3
    hub.failures.append(HubError(403004, "JobQuotaExceeded", 403, "one at a time"))
    assert (await outcomes(hub, "jobs"))["d1"].state is DeviceState.WRITTEN


async def test_a_refused_job_is_an_error() -> None:
    hub = FakeHub("d1")
    hub.failures.append(hub_error("ArgumentInvalid", "no"))
    with pytest.raises(HubError, match="ArgumentInvalid"):
        await outcomes(hub, "jobs")


async def test_a_device_whose_turn_did_not_come_stays_pending() -> None:
    hub = FakeHub("d1", "d2")
    hub.connected["d2"] = False

    async def cut_short(job_id: str, job: Json) -> Json:
        await FakeHub.create_job(hub, job_id, job)
        hub.rows = hub.rows[:1]
        return {}

    hub.create_job = cut_short  # type: ignore[method-assign]
    found = await outcomes(hub, "jobs")
    assert [found["d1"].state, found["d2"].state] == [DeviceState.WRITTEN, DeviceState.PENDING]
    assert "before its turn" in found["d2"].cause


def test_the_time_of_a_job_is_twice_the_forecast_and_some() -> None:
    hub = cast(HubService, FakeHub())
    paths = [make_path("jobs", hub, SPEC, capacity=Capacity.parse(tier)) for tier in ("S1", "S2", "S3")]
    assert [path._execution_s(1_000) for path in paths] == [500, 1_300, 700]  # type: ignore[attr-defined]


def test_a_method_job_names_the_method() -> None:
    assert hub_job_body(REBOOT, "*", 300)["cloudToDeviceMethod"] == {
        "methodName": "reboot",
        "payload": None,
        "responseTimeoutInSeconds": 30,
    }


async def test_a_throttled_call_is_made_again_and_the_pace_slows() -> None:
    hub = FakeHub("d1", "d2")
    hub.failures += [THROTTLED, THROTTLED]
    found = await outcomes(hub, "direct", capacity=Capacity.parse("S1"))
    assert [outcome.state for outcome in found.values()] == [DeviceState.WRITTEN] * 2


async def test_a_call_that_stays_throttled_has_failed() -> None:
    hub = FakeHub("d1")
    hub.failures += [THROTTLED] * 4
    assert (await outcomes(hub, "direct"))["d1"].state is DeviceState.FAILED


async def test_twin_writes_go_on_after_a_broken_connection() -> None:
    hub = FakeHub("d1")
    hub.failures.append(HubUnreachableError("gone"))
    assert (await outcomes(hub, "direct"))["d1"].state is DeviceState.WRITTEN


async def test_a_hub_that_stays_away_ends_the_path() -> None:
    hub = FakeHub("d1")
    hub.failures += [HubUnreachableError("gone")] * 4
    with pytest.raises(HubUnreachableError):
        await outcomes(hub, "direct")


async def test_a_method_is_never_called_twice_where_it_may_have_been_heard() -> None:
    hub = FakeHub("d1")
    hub.failures.append(HubUnreachableError("gone"))
    found = await outcomes(hub, "direct", REBOOT)
    assert (found["d1"].state, "may or may not" in found["d1"].cause) == (DeviceState.FAILED, True)
    assert hub.calls == []


@pytest.mark.parametrize("path", ["jobs", "direct"])
async def test_answers_of_methods_are_acknowledgements_or_refusals(path: str) -> None:
    hub = FakeHub("d1", "d2")
    hub.methods["d2"] = 409
    found = await outcomes(hub, path, REBOOT)
    assert found["d1"].state is DeviceState.ACKNOWLEDGED
    assert (found["d2"].state, found["d2"].cause) == (DeviceState.REFUSED, "answered 409")


async def test_devices_that_are_away_fail_with_one_cause() -> None:
    found = await outcomes(FakeHub("d1", "d2", connected=False), "direct", REBOOT)
    assert {(outcome.state, outcome.cause) for outcome in found.values()} == {(DeviceState.FAILED, "not connected")}


async def test_twin_writes_keep_to_the_rate_of_the_tier_and_budget() -> None:
    hub = FakeHub(*(f"d{number}" for number in range(101)))
    clock, timing = by_hand()
    await outcomes(hub, "direct", capacity=Capacity.parse("S1", share=0.5), timing=timing)
    assert clock.monotonic() >= 4.0 - 0.05


async def test_the_bulk_path_takes_a_hundred_a_call_and_tells_whom_it_missed() -> None:
    hub = FakeHub(*(f"d{number}" for number in range(150)))
    path = make_path("bulk", cast(HubService, hub), SPEC, timing=by_hand()[1])
    found = {each.device_id: each async for each in path.carry_out(dict.fromkeys([*hub.desired, "ghost"], ""))}
    assert sorted(hub.calls) == ["bulk 100", "bulk 51"]
    assert (found["ghost"].state, found["ghost"].cause) == (DeviceState.FAILED, "DeviceNotFound")


async def test_messages_are_sent_by_whoever_was_given() -> None:
    sent = []

    async def send(device_id: str, body: str) -> None:
        sent.append((device_id, body))

    found = await outcomes(FakeHub("d1"), "direct", JobSpec(where="*", c2d="hello"), send=send)
    assert (sent, found["d1"].state) == ([("d1", "hello")], DeviceState.WRITTEN)


@pytest.mark.parametrize(("path", "spec"), [("bulk", REBOOT), ("jobs", JobSpec(where="*", c2d="x")), ("magic", SPEC)])
def test_a_path_that_cannot_carry_the_job_is_refused(path: str, spec: JobSpec) -> None:
    with pytest.raises(InputError, match=f"--path {path}"):
        make_path(path, cast(HubService, FakeHub()), spec)


async def test_leaving_early_stops_what_is_under_way() -> None:
    hub = FakeHub(*(f"d{number}" for number in range(100)))
    began = asyncio.Event()

    async def stuck(*_: object, **__: object) -> None:
        began.set()
        await asyncio.Event().wait()

    hub.patch_twin = stuck  # type: ignore[assignment, method-assign]
    path = make_path("direct", cast(HubService, hub), SPEC, timing=by_hand()[1])
    waiting = asyncio.create_task(anext(path.carry_out(dict.fromkeys(hub.desired, ""))))
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hub.calls == []
