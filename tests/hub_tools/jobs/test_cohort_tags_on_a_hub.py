"""A rollout by cohort tags on a hub that is like Azure's: its index of queries lags, its jobs wait for their turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub_tools.jobs import Capacity, JobSpec, Rollout, make_path, run_rollout
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.population import count
from hub_tools.jobs.rollout_forecast import make_rollout_plan
from hub_tools.rest import RestHubService
from hub_tools.service import Json
from iot_core.identity import Identity
from tests.hub_tools.conftest import RunningHub, running_hub

DEVICES = [f"lag-{number:02}" for number in range(12)]
WHERE = "tags.fleet = 'lag'"
TIER = "S3:10"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("azure"), "--like-azure", TIER) as hub:
        yield hub


@pytest.fixture
async def service(azure: RunningHub) -> AsyncIterator[RestHubService]:
    """Twelve devices that the index knows."""
    async with azure.service() as service:
        items = [{"id": name, "importMode": "createOrUpdate", "tags": {"fleet": "lag"}} for name in DEVICES]
        await service.change_devices(items)
        while await count(service, WHERE) < len(DEVICES):
            await asyncio.sleep(0.1)
        yield service


async def twins(service: RestHubService) -> list[Json]:
    return [await service.get_twin(Identity(name)) for name in DEVICES]


async def test_waves_found_by_tags_miss_nobody_that_was_tagged_a_moment_ago(
    service: RestHubService, tmp_path: Path
) -> None:
    capacity, before = Capacity.parse(TIER), await twins(service)
    spec = JobSpec(where=WHERE, desired={"rate": 5}, wait=False)
    rollout = Rollout(spec).canary(2).then(50, 100).cohort_tag("wave")
    plan = await make_rollout_plan(service, rollout, capacity=capacity, path="jobs")
    with Journal.create(tmp_path, rollout.spec) as journal:
        path = make_path("jobs", service, rollout.spec, capacity=capacity)
        report = await run_rollout(
            service, plan.rollout, path, journal=journal, jobs=tmp_path, order=plan.order, capacity=capacity
        )
    after = await twins(service)
    assert (report.complete, report.matched) == (True, 12)
    assert Counter(twin["tags"]["wave"] for twin in after) == {1: 2, 2: 4, 3: 6}
    assert [twin["version"] for twin in after] == [twin["version"] + 2 for twin in before], "a tag and a change each"
    assert {twin["properties"]["desired"]["rate"] for twin in after} == {5}
    mine = {str(job["queryCondition"]) for job in await service.list_jobs() if rollout.spec.job_id in job["jobId"]}
    assert mine == {f"tags.wave = {wave} AND ({WHERE})" for wave in (1, 2, 3)}
