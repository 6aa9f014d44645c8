"""Jobs against a hub process, by every path; run again with EDGEYARD_LIKE_AZURE they meet throttles, slots and lag."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from hub_tools.jobs import Capacity, DeviceState, JobReport, JobSpec, MethodCall, make_path, make_plan, run_job
from hub_tools.jobs.overview import cancel_parts, hub_jobs
from hub_tools.jobs.population import count
from hub_tools.rest import RestHubService
from iot_core.clock import iso
from iot_core.identity import Identity
from tests.hub_tools.jobs.fake_hub import Notes

DEVICES = tuple(f"bulk-{number:02}" for number in range(12))
WHERE = "tags.fleet = 'bulk'"
values = itertools.count(20)


@pytest.fixture
async def fleet(service: RestHubService) -> RestHubService:
    """Twelve devices, never connected, that the index of queries knows."""
    items = [{"id": name, "importMode": "create", "status": "enabled", "tags": {"fleet": "bulk"}} for name in DEVICES]
    await service.change_devices(items)
    while await count(service, WHERE) < len(DEVICES):
        await asyncio.sleep(0.1)
    return service


async def run(service: RestHubService, spec: JobSpec, path: str, notes: Notes | None = None) -> JobReport:
    return await run_job(service, spec, make_path(path, service, spec), journal=notes)


async def interval(service: RestHubService, name: str) -> object:
    return (await service.get_twin(Identity(name)))["properties"]["desired"].get("reportingInterval")


@pytest.mark.parametrize("path", ["jobs", "direct", "bulk"])
async def test_every_path_writes_to_all_devices(fleet: RestHubService, path: str) -> None:
    value = next(values)
    report = await run(fleet, JobSpec(where=WHERE, desired={"reportingInterval": value}), path)
    assert report.tally.counts[DeviceState.WRITTEN] == len(DEVICES)
    assert [await interval(fleet, name) for name in DEVICES] == [value] * len(DEVICES)


async def test_null_deletes_and_what_was_there_is_noted(fleet: RestHubService) -> None:
    value, notes = next(values), Notes()
    await fleet.patch_twin(Identity(DEVICES[0]), {"properties": {"desired": {"reportingInterval": value, "mode": "a"}}})
    spec = JobSpec(where=f"deviceId = '{DEVICES[0]}'", desired={"reportingInterval": None}, wait=False)
    while not await count(fleet, f"deviceId = '{DEVICES[0]}' AND properties.desired.reportingInterval = {value}"):
        await asyncio.sleep(0.1)
    assert (await run(fleet, spec, "direct", notes)).complete
    assert await interval(fleet, DEVICES[0]) is None
    kind, name, previous, versions = notes.lines[0]
    assert (kind, name, previous) == ("before", DEVICES[0], {"desired.reportingInterval": value})
    assert versions["desired.reportingInterval"] == versions["desired"]


async def test_methods_of_devices_that_are_away_fail_by_one_cause(fleet: RestHubService) -> None:
    spec = JobSpec(where=WHERE, method=MethodCall(name="reboot"))
    report = await run(fleet, spec, "direct")
    assert report.tally.causes == {(DeviceState.FAILED, "not connected"): len(DEVICES)}


async def test_a_plan_of_the_population(fleet: RestHubService) -> None:
    plan = await make_plan(
        fleet, JobSpec(where=WHERE, tags={"wave": next(values)}), capacity=Capacity.parse("S3"), checked=""
    )
    assert (plan.matched, plan.connected, plan.why) == (12, 0, {"tags.fleet": {"bulk": 12}})
    assert [each.count for each in plan.classes] == [12]


async def test_another_job_that_waits_is_told_and_can_be_cancelled(fleet: RestHubService) -> None:
    update = {"etag": "*", "tags": {"wave": 1}}
    start = iso(time.time() + 3600)
    body = {"type": "scheduleUpdateTwin", "queryCondition": WHERE, "updateTwin": update, "startTime": start}
    job_id = f"waits-{time.time_ns()}"
    await fleet.create_job(job_id, body)
    plan = await make_plan(fleet, JobSpec(where=WHERE, tags={"wave": 2}), capacity=None)
    assert [(each.job_id, each.devices, each.values) for each in plan.overlaps] == [(job_id, 12, ("tags.wave",))]
    job = next(job for job in await hub_jobs(fleet) if job.job_id == job_id)
    assert await cancel_parts(fleet, job) == ([job_id], {})
