"""Twin writes that carry the ETag of what the journal has: somebody else's write in between is noted, not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from hub_tools.jobs import DeviceState, JobReport, JobSpec, make_path, run_job
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.population import count
from hub_tools.jobs.resume import resume_job
from hub_tools.jobs.runner import CONTENDED, MATCHES_NOT
from hub_tools.jobs.undo import undo_job
from hub_tools.rest import RestHubService
from hub_tools.service import BulkResult, HubService, HubUnreachableError, Json
from iot_core.identity import Identity
from tests.hub_tools.jobs.fake_hub import FakeHub, by_hand

CONDITIONAL = ["direct", "bulk"]
SPEC = JobSpec(where="tags.site = 'a'", desired={"rate": 5}, job_id="job-1", wait=False)
Meanwhile = Callable[["Contended"], None]


class Contended(FakeHub):
    """A hub on which somebody else writes just before each of the first `times` writes of the job."""

    def __init__(self, *devices: str, meanwhile: Meanwhile, times: int = 1) -> None:
        super().__init__(*devices, tags={"site": "a"})
        self.meanwhile, self.times = meanwhile, times

    def interfere(self) -> None:
        if self.times:
            self.times -= 1
            self.meanwhile(self)

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        self.interfere()
        return await super().patch_twin(identity, patch, etag=etag)

    async def change_devices(self, items: Any) -> BulkResult:
        self.interfere()
        return await super().change_devices(items)


class Deaf(FakeHub):
    """A hub whose first answer is lost: the write has its effect all the same."""

    async def patch_twin(self, identity: Identity, patch: Json, *, etag: str | None = None) -> Json:
        twin = await super().patch_twin(identity, patch, etag=etag)
        if len(self.calls) == 1:
            raise HubUnreachableError("the connection broke")
        return twin

    async def change_devices(self, items: Any) -> BulkResult:
        result = await super().change_devices(items)
        if len(self.calls) == 1:
            raise HubUnreachableError("the connection broke")
        return result


def sets(hub: FakeHub, rate: int) -> None:
    hub.write("d1", {"properties": {"desired": {"rate": rate}}})


def counts(report: JobReport) -> dict[str, int]:
    return {state.value: number for state, number in report.tally.counts.items() if number}


def rate(hub: FakeHub) -> Any:
    return hub.twin("d1")["properties"]["desired"].get("rate")


async def run(hub: FakeHub, folder: Path, path: str, spec: JobSpec = SPEC) -> JobReport:
    timing, service = by_hand()[1], cast(HubService, hub)
    with Journal.create(folder, spec) as journal:
        return await run_job(service, spec, make_path(path, service, spec, timing=timing), journal=journal)


async def undone(hub: FakeHub, folder: Path) -> bool:
    with Journal.open(folder, "job-1") as journal:
        return (await undo_job(cast(HubService, hub), journal, timing=by_hand()[1])).complete


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_undo_puts_back_what_somebody_set_between_look_and_write(path: str, tmp_path: Path) -> None:
    hub = Contended("d1", meanwhile=lambda hub: sets(hub, 7))
    assert counts(await run(hub, tmp_path, path)) == {"written": 1}
    assert rate(hub) == 5
    assert await undone(hub, tmp_path)
    assert rate(hub) == 7


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_undo_puts_back_what_the_lagging_index_did_not_show(path: str, tmp_path: Path) -> None:
    hub = FakeHub("d1", tags={"site": "a"})
    hub.lagging = {"d1": hub.twin("d1")}
    sets(hub, 7)
    await run(hub, tmp_path, path)
    hub.lagging = {}
    assert await undone(hub, tmp_path)
    assert rate(hub) == 7


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_a_value_that_somebody_else_set_meanwhile_stays_theirs(path: str, tmp_path: Path) -> None:
    def elsewhere(hub: FakeHub) -> None:
        sets(hub, 7)
        sets(hub, 5)

    hub = Contended("d1", meanwhile=elsewhere)
    assert counts(await run(hub, tmp_path, path)) == {"skipped": 1}
    assert await undone(hub, tmp_path)
    assert rate(hub) == 5


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_a_device_that_has_left_the_condition_is_left_alone(path: str, tmp_path: Path) -> None:
    hub = Contended("d1", meanwhile=lambda hub: hub.write("d1", {"tags": {"site": "b"}}))
    report = await run(hub, tmp_path, path)
    assert dict(report.tally.causes) == {(DeviceState.SKIPPED, MATCHES_NOT): 1}
    assert rate(hub) is None


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_a_write_whose_answer_was_lost_is_known_and_undone(path: str, tmp_path: Path) -> None:
    hub = Deaf("d1", tags={"site": "a"})
    assert counts(await run(hub, tmp_path, path)) == {"written": 1}
    assert hub.desired["d1"].version == 2
    assert await undone(hub, tmp_path)
    assert rate(hub) is None


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_a_device_that_is_written_to_all_the_time_fails(path: str, tmp_path: Path) -> None:
    hub = Contended("d1", meanwhile=lambda hub: sets(hub, hub.desired["d1"].version + 100), times=100)
    report = await run(hub, tmp_path, path)
    assert dict(report.tally.causes) == {(DeviceState.FAILED, CONTENDED): 1}


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_a_device_that_is_deleted_meanwhile_is_told(path: str, tmp_path: Path) -> None:
    def delete(hub: FakeHub) -> None:
        hub.desired.pop("d1")

    hub = Contended("d1", meanwhile=delete)
    with Journal.create(tmp_path, SPEC) as journal:
        service, timing = cast(HubService, hub), by_hand()[1]
        way = make_path(path, service, SPEC, timing=timing)
        report = await run_job(service, SPEC, way, journal=journal, timing=timing)
    assert counts(report) == {"failed": 1}


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_resume_notes_anew_what_was_changed_while_the_job_stood_still(path: str, tmp_path: Path) -> None:
    hub, timing = FakeHub("d1", tags={"site": "a"}), by_hand()[1]
    service = cast(HubService, hub)
    with Journal.create(tmp_path, SPEC) as journal:
        journal.before("d1", {"desired.rate": None}, {"desired.rate": None, "desired": 1})
        journal.outcome("d1", DeviceState.SCHEDULED)
    sets(hub, 7)
    with Journal.open(tmp_path, "job-1") as journal:
        await resume_job(service, journal, make_path(path, service, SPEC, timing=timing), timing=timing)
    assert rate(hub) == 5
    assert await undone(hub, tmp_path)
    assert rate(hub) == 7


async def test_what_somebody_set_to_the_value_before_its_turn_is_skipped_by_resume(tmp_path: Path) -> None:
    hub, timing = FakeHub("d1", "d2", tags={"site": "a"}), by_hand()[1]
    service = cast(HubService, hub)
    with Journal.create(tmp_path, SPEC) as journal:
        for name in ("d1", "d2"):
            journal.before(name, {"desired.rate": None}, {"desired.rate": None, "desired": 1})
        journal.outcome("d2", DeviceState.WRITTEN)
    sets(hub, 5)
    with Journal.open(tmp_path, "job-1") as journal:
        way = make_path("direct", service, SPEC, timing=timing)
        report = await resume_job(service, journal, way, timing=timing)
    assert report.tally.counts[DeviceState.SKIPPED] == 1
    assert hub.calls == []


DEVICES = tuple(f"raced-{number:02}" for number in range(40))


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_on_a_hub_with_another_writer_every_device_gets_back_what_it_had(
    service: RestHubService, path: str, tmp_path: Path
) -> None:
    """Another operator sets the same property of every device as soon as the job has noted them."""
    spec = JobSpec(where=f"tags.raced = '{path}'", desired={"rate": 5}, job_id="job-1", wait=False)
    names = [f"{path}-{name}" for name in DEVICES]
    new = {"importMode": "create", "status": "enabled", "tags": {"raced": path}}
    await service.change_devices([{"id": name, **new} for name in names])
    while await count(service, spec.where) < len(names):
        await asyncio.sleep(0.1)

    class Late:
        """The path, entered only after the other operator wrote."""

        name = path
        takes_all = False

        async def carry_out(self, devices: Any) -> Any:
            if not await self.raced():
                for name in devices:
                    await service.patch_twin(Identity(name), {"properties": {"desired": {"rate": 7}}})
            async for outcome in make_path(path, service, spec).carry_out(devices):
                yield outcome

        async def raced(self) -> bool:
            return (await service.get_twin(Identity(names[0])))["properties"]["desired"].get("rate") == 7

    with Journal.create(tmp_path, spec) as journal:
        report = await run_job(service, spec, Late(), journal=journal)
        assert counts(report) == {"written": len(names)}
        assert await rates(service, names) == {5}
        assert (await undo_job(service, journal)).complete
    assert await rates(service, names) == {7}


async def rates(service: RestHubService, names: list[str]) -> set[Any]:
    twins = [await service.get_twin(Identity(name)) for name in names]
    return {twin["properties"]["desired"].get("rate") for twin in twins}
