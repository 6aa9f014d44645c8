"""A twin job followed from the hub's part to the devices' acknowledgements, against a small fake hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

import hub_tools.jobs
from hub_tools.jobs import (
    JobFailedError,
    JobProgress,
    NoDeviceMatchesError,
    Phase,
    TwinUpdate,
    run_twin_job,
)
from hub_tools.service import HubService
from iot_core.errors import InputError
from iot_core.identity import Identity

Json = dict[str, Any]


class FakeHub:
    """Devices by id with the acknowledgement each will give; a job ends at its second look."""

    created = "2026-01-01T12:00:00.0000000Z"

    def __init__(self, answers: dict[str, Json | None], *, ends_as: str = "completed", written: str = "") -> None:
        self.written = written or self.created
        self.read_back: list[str] = []
        self.answers = answers
        self.ends_as = ends_as
        self.jobs: dict[str, Json] = {}
        self.queries: list[str] = []

    async def query(self, text: str, *, page_size: int = 100) -> AsyncIterator[Json]:
        self.queries.append(text)
        for device_id, answer in self.answers.items():
            if "deviceId IN" not in text or f"'{device_id}'" in text:
                yield {"deviceId": device_id, "properties": self._properties(answer)}

    def _properties(self, answer: Json | None) -> Json:
        desired = {"rate": 2, "$version": 5, "$metadata": {"rate": self._metadata()}}
        return {"desired": desired, "reported": {"rate": answer} if answer else {}}

    def _metadata(self) -> Json:
        return {"$lastUpdated": self.written, "$lastUpdatedVersion": 4}

    async def get_twin(self, identity: Identity) -> Json:
        self.read_back.append(identity.device_id)
        with_index, self.written = self.written, self.created
        twin = {"deviceId": identity.device_id, "properties": self._properties(self.answers[identity.device_id])}
        self.written = with_index
        return twin

    async def create_job(self, job_id: str, job: Json) -> Json:
        self.jobs[job_id] = job
        return {"status": "queued", "createdTime": self.created}

    async def get_job(self, job_id: str) -> Json:
        count = len(self.answers)
        return {
            "status": self.ends_as,
            "createdTime": self.created,
            "deviceJobStatistics": {"deviceCount": count, "succeededCount": count},
        }


UPDATE = TwinUpdate(where="tags.building = 'B1'", desired={"rate": 2}, job_id="job-1")
BEFORE = "2026-01-01T00:00:00.0000000Z"
ACCEPTED = {"value": 2, "ac": 200, "av": 4}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_tools.jobs, "JOB_POLL_S", 0)
    monkeypatch.setattr(hub_tools.jobs, "ACKNOWLEDGEMENT_POLL_S", 0)


async def run(hub: FakeHub, update: TwinUpdate = UPDATE, *, patience_s: float | None = 0.0) -> hub_tools.jobs.JobReport:
    return await run_twin_job(cast(HubService, hub), update, acknowledgement_timeout_s=patience_s)


async def test_all_devices_that_acknowledge_make_a_complete_job() -> None:
    hub = FakeHub({"d1": ACCEPTED, "d2": {"value": 2, "ac": 200, "av": 9}})
    report = await run(hub)
    assert (report.matched, report.written, report.acknowledged, report.complete) == (2, 2, 2, True)


async def test_the_hub_gets_a_force_update_with_the_condition_as_written() -> None:
    hub = FakeHub({"d1": ACCEPTED})
    await run(hub)
    assert hub.jobs["job-1"] == {
        "type": "scheduleUpdateTwin",
        "queryCondition": "tags.building = 'B1'",
        "updateTwin": {"etag": "*", "properties": {"desired": {"rate": 2}}},
    }


async def test_an_answer_to_an_older_version_does_not_count() -> None:
    report = await run(FakeHub({"d1": {"value": 2, "ac": 200, "av": 3}}))
    assert (report.acknowledged, report.silent, report.complete) == (0, ["d1"], False)


async def test_a_plain_reported_value_is_no_acknowledgement() -> None:
    hub = FakeHub({"d1": None})
    assert (await run(hub)).silent == ["d1"]


async def test_a_twin_that_the_lagging_index_shows_as_it_was_before_the_job_does_not_count() -> None:
    hub = FakeHub({"d1": ACCEPTED}, written=BEFORE)
    seen: list[JobProgress] = []
    await run_twin_job(cast(HubService, hub), UPDATE, acknowledgement_timeout_s=0.0, on_progress=seen.append)
    assert [progress.acknowledged for progress in seen if progress.phase is Phase.DEVICES] == [0, 1]


async def test_in_the_end_the_twins_of_silent_devices_are_read_themselves() -> None:
    hub = FakeHub({"d1": ACCEPTED, "d2": {**ACCEPTED, "ac": 400, "ad": "no"}, "d3": None}, written=BEFORE)
    report = await run(hub)
    assert (report.acknowledged, report.refused, report.silent) == (1, {"d2": "rate: no"}, ["d3"])
    assert hub.read_back == ["d1", "d2", "d3"]


async def test_too_many_silent_devices_are_not_read_one_by_one() -> None:
    hub = FakeHub({f"d{number}": ACCEPTED for number in range(hub_tools.jobs.READ_BACK_MOST + 1)}, written=BEFORE)
    assert len((await run(hub)).silent) == hub_tools.jobs.READ_BACK_MOST + 1
    assert hub.read_back == []


async def test_looks_come_later_and_later() -> None:
    pauses = hub_tools.jobs._pauses(0.5)
    assert [round(next(pauses), 2) for _ in range(8)] == [0.5, 0.75, 1.12, 1.69, 2.53, 3.8, 5.0, 5.0]


async def test_work_in_progress_is_waited_for() -> None:
    assert (await run(FakeHub({"d1": {"value": 2, "ac": 202, "av": 4}}))).silent == ["d1"]


async def test_a_refusal_keeps_the_reason_of_the_device() -> None:
    report = await run(FakeHub({"d1": ACCEPTED, "d2": {"value": 1, "ac": 400, "av": 4, "ad": "must be at least 5"}}))
    assert report.refused == {"d2": "rate: must be at least 5"}
    assert not report.complete


async def test_without_waiting_the_report_ends_with_the_hubs_part() -> None:
    report = await run(FakeHub({"d1": None}), patience_s=None)
    assert (report.written, report.acknowledged, report.complete) == (1, 0, True)


async def test_tags_alone_need_no_acknowledgement() -> None:
    hub = FakeHub({"d1": None})
    report = await run(hub, TwinUpdate(where="*", tags={"site": "a"}))
    assert report.complete
    assert hub.queries == ["SELECT deviceId FROM devices"]


async def test_a_condition_that_matches_nothing_submits_no_job() -> None:
    hub = FakeHub({})
    with pytest.raises(NoDeviceMatchesError, match=r"tags\.building"):
        await run(hub)
    assert hub.jobs == {}


async def test_a_job_that_the_hub_failed_is_an_error() -> None:
    with pytest.raises(JobFailedError, match="ended as failed"):
        await run(FakeHub({"d1": None}, ends_as="failed"))


async def test_progress_goes_from_the_hub_to_the_devices() -> None:
    seen: list[JobProgress] = []
    await run_twin_job(cast(HubService, FakeHub({"d1": ACCEPTED})), UPDATE, on_progress=seen.append)
    assert [progress.phase for progress in seen] == [Phase.HUB, Phase.HUB, Phase.DEVICES, Phase.DONE]
    assert seen[-1].acknowledged == 1


async def test_many_devices_are_asked_for_in_queries_the_hub_accepts() -> None:
    hub = FakeHub({f"a-device-with-a-long-name-{number:06}": ACCEPTED for number in range(1000)})
    report = await run(hub)
    assert report.acknowledged == 1000
    assert max(map(len, hub.queries)) < 8192


@pytest.mark.parametrize(("where", "desired"), [("", {"a": 1}), ("   ", {"a": 1}), ("*", {})])
def test_a_job_without_condition_or_change_is_refused(where: str, desired: Json) -> None:
    with pytest.raises(InputError, match="A job needs"):
        TwinUpdate(where=where, desired=desired)
