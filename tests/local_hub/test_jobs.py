from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock, iso
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub
from local_hub.jobs import runner as job_runner
from local_hub.jobs.jobs import TRANSITIONS
from local_hub.jobs.rows import ACTIVE

FASTER = {"etag": "*", "properties": {"desired": {"reportingInterval": 2}}}
REBOOT = {"methodName": "reboot", "responseTimeoutInSeconds": 5}


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


def twin_job(condition: str = "tags.building = 'B1'", update: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "scheduleUpdateTwin", "queryCondition": condition, "updateTwin": update or FASTER, **more}


def method_job(condition: str = "*") -> dict[str, Any]:
    return {"type": "scheduleDeviceMethod", "queryCondition": condition, "cloudToDeviceMethod": REBOOT}


async def add_devices(hub: Hub, count: int = 6) -> None:
    for number in range(count):
        await hub.registry.put_device(f"d{number}", {}, None)
        await hub.twins.patch(Identity(f"d{number}"), {"tags": {"building": f"B{number % 2 + 1}"}}, None)


async def ended(hub: Hub, job_id: str) -> dict[str, Any]:
    """The job once it has ended."""
    events = hub.events.subscribe()
    while True:
        job = hub.jobs.get(job_id)
        if job["status"] not in ACTIVE:
            return job
        await anext(events)


def intervals(hub: Hub) -> list[Any]:
    devices = hub.registry.list_devices(100)
    twins = [hub.twins.get(Identity(device["deviceId"])) for device in devices]
    return [twin["properties"]["desired"].get("reportingInterval") for twin in twins]


async def rows_of(hub: Hub, job_id: str) -> list[Any]:
    return list((await hub.twins.query(f"SELECT * FROM devices.jobs WHERE jobId = '{job_id}'", 100, None)).rows)


class TestTwinJobs:
    async def test_it_changes_every_device_that_matches_and_no_other(self, hub: Hub) -> None:
        await add_devices(hub)
        created = await hub.jobs.create("job-1", twin_job())
        assert created["status"] == "queued"
        assert "endTime" not in created
        job = await ended(hub, "job-1")
        assert job["status"] == "completed"
        assert job["deviceJobStatistics"] == {
            "deviceCount": 3,
            "failedCount": 0,
            "succeededCount": 3,
            "runningCount": 0,
            "pendingCount": 0,
        }
        assert job["updateTwin"] == FASTER
        assert intervals(hub) == [2, None, 2, None, 2, None]

    async def test_connected_devices_hear_of_it(self, hub: Hub, connect: Any) -> None:
        await add_devices(hub)
        link = connect("d0")
        await hub.jobs.create("job-1", twin_job())
        await ended(hub, "job-1")
        assert link.pushed == [{"reportingInterval": 2, "$version": 2}]

    @pytest.mark.parametrize(
        ("condition", "count"), [("*", 6), ("deviceId IN ['d0', 'd5', 'nobody']", 2), ("tags.building = 'none'", 0)]
    )
    async def test_conditions_choose_the_devices(self, hub: Hub, condition: str, count: int) -> None:
        await add_devices(hub)
        await hub.jobs.create("job-1", twin_job(condition))
        job = await ended(hub, "job-1")
        assert (job["status"], job["deviceJobStatistics"]["succeededCount"]) == ("completed", count)

    async def test_a_condition_on_modules_changes_modules(self, hub: Hub) -> None:
        await add_devices(hub, 1)
        await hub.registry.put_module(Identity("d0", "m"), {}, None)
        await hub.jobs.create("job-1", twin_job("FROM devices.modules WHERE moduleId = 'm'"))
        await ended(hub, "job-1")
        assert hub.twins.get(Identity("d0", "m"))["properties"]["desired"]["reportingInterval"] == 2
        assert intervals(hub) == [None]

    async def test_a_device_it_cannot_change_fails_alone(self, hub: Hub) -> None:
        await add_devices(hub, 2)
        await hub.twins.patch(Identity("d0"), {"tags": {"note": "x" * 4000, "more": "y" * 4000}}, None)
        await hub.jobs.create("job-1", twin_job("*", {"etag": "*", "tags": {"third": "z" * 400}}))
        job = await ended(hub, "job-1")
        assert job["status"] == "completed"
        assert job["deviceJobStatistics"]["failedCount"] == 1
        rows = await rows_of(hub, "job-1")
        assert [row["status"] for row in rows] == ["failed", "completed"]
        assert rows[0]["error"]["code"] == "400004"
        assert "error" not in rows[1]

    async def test_a_bad_condition_is_taken_and_fails_the_job(self, hub: Hub) -> None:
        assert (await hub.jobs.create("job-1", twin_job("tags.a ==== 1")))["status"] == "queued"
        job = await ended(hub, "job-1")
        assert job["status"] == "failed"
        assert job["failureReason"].startswith("queryCondition:")

    async def test_it_works_in_chunks(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(job_runner, "TWINS_PER_WRITE", 2)
        monkeypatch.setattr(job_runner, "TARGETS_PER_WRITE", 2)
        await add_devices(hub)
        await hub.jobs.create("job-1", twin_job("*"))
        assert (await ended(hub, "job-1"))["deviceJobStatistics"]["succeededCount"] == 6
        assert intervals(hub) == [2] * 6

    async def test_its_states_are_published(self, hub: Hub) -> None:
        events = hub.events.subscribe()
        await hub.jobs.create("job-1", twin_job())
        await ended(hub, "job-1")
        states = [(await anext(events))["body"]["status"] for _ in range(3)]
        assert states == ["queued", "running", "completed"]

    async def test_its_time_can_run_out(self, hub: Hub, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(job_runner, "TWINS_PER_WRITE", 1)
        await add_devices(hub, 2)
        hub.events.subscribe()
        link_moves_the_clock(hub, clock)
        await hub.jobs.create("job-1", twin_job("*", maxExecutionTimeInSeconds=10))
        job = await ended(hub, "job-1")
        assert (job["status"], job["deviceJobStatistics"]["succeededCount"]) == ("failed", 1)
        assert [row["status"] for row in await rows_of(hub, "job-1")] == ["completed", "canceled"]


def link_moves_the_clock(hub: Hub, clock: ManualClock) -> None:
    """Connects d0 so that its first push takes eleven seconds."""

    class SlowLink:
        accepts_methods = False

        def push_desired(self, patch: dict[str, Any]) -> None:
            clock.advance(11)

        async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
            raise AssertionError

        def close(self, reason: str) -> None:
            pass

    hub.sessions.attach(Identity("d0"), SlowLink())


class TestMethodJobs:
    async def test_it_calls_every_device_and_keeps_each_answer(self, hub: Hub, connect: Any) -> None:
        await add_devices(hub, 2)
        link = connect("d0")
        await hub.jobs.create("job-1", method_job())
        job = await ended(hub, "job-1")
        assert job["status"] == "completed"
        assert (job["deviceJobStatistics"]["succeededCount"], job["deviceJobStatistics"]["failedCount"]) == (1, 1)
        assert link.called == [("reboot", b"")]
        answered, offline = await rows_of(hub, "job-1")
        assert answered["outcome"] == {"deviceMethodResponse": {"status": 200, "payload": {"ok": True}}}
        assert (offline["status"], offline["error"]["code"]) == ("failed", "404103")

    async def test_running_calls_are_counted(self, hub: Hub, connect: Any, clock: ManualClock) -> None:
        await add_devices(hub, 1)
        link = connect("d0")
        link.answer = link.silent
        await hub.jobs.create("job-1", method_job())
        await link.reached.wait()
        statistics = hub.jobs.get("job-1")["deviceJobStatistics"]
        assert (statistics["runningCount"], statistics["pendingCount"]) == (1, 0)
        assert [row["status"] for row in await rows_of(hub, "job-1")] == ["running"]
        clock.advance(6)
        assert (await ended(hub, "job-1"))["deviceJobStatistics"]["failedCount"] == 1

    async def test_its_time_can_run_out_while_a_device_is_silent(
        self, hub: Hub, connect: Any, clock: ManualClock
    ) -> None:
        await add_devices(hub, 2)
        connect("d0")
        link = connect("d1")
        link.answer = link.silent
        body = method_job() | {"maxExecutionTimeInSeconds": 60}
        body["cloudToDeviceMethod"] = {**REBOOT, "responseTimeoutInSeconds": 300}
        await hub.jobs.create("job-1", body)
        await link.reached.wait()
        clock.advance(61)
        job = await ended(hub, "job-1")
        assert (job["status"], job["deviceJobStatistics"]["succeededCount"]) == ("failed", 1)
        assert [row["status"] for row in await rows_of(hub, "job-1")] == ["completed", "canceled"]


class TestRules:
    @pytest.mark.parametrize(
        ("job_id", "body"),
        [
            ("Upper", twin_job()),
            ("a_b", twin_job()),
            ("x" * 65, twin_job()),
            ("j", {**twin_job(), "type": "scheduleTwinUpdate"}),
            ("j", {**twin_job(), "queryCondition": ""}),
            ("j", {"type": "scheduleUpdateTwin", "queryCondition": "*"}),
            ("j", twin_job(update={"tags": {"a": 1}})),
            ("j", twin_job(update={"etag": "AAA=", "tags": {"a": 1}})),
            ("j", twin_job(update={"etag": "*", "tags": {"a b": 1}})),
            ("j", twin_job(startTime="tomorrow")),
            ("j", twin_job(startTime="2026-01-08T00:00:01Z")),
            ("j", twin_job(maxExecutionTimeInSeconds="1")),
            ("j", {**method_job(), "cloudToDeviceMethod": {"payload": 1}}),
        ],
    )
    async def test_what_cannot_be_is_refused(self, hub: Hub, job_id: str, body: Any) -> None:
        with refusal("ArgumentInvalid"):
            await hub.jobs.create(job_id, body)
        assert hub.jobs.query(None, None) == []

    async def test_an_id_is_used_once(self, hub: Hub) -> None:
        await hub.jobs.create("job-1", twin_job())
        await ended(hub, "job-1")
        with refusal("JobAlreadyExists"):
            await hub.jobs.create("job-1", twin_job())

    async def test_an_unknown_job_is_unknown(self, hub: Hub) -> None:
        assert hub.jobs.get("nothing") == {"jobId": "nothing", "type": "unknown", "status": "unknown"}
        with refusal("JobNotFound"):
            await hub.jobs.cancel("nothing")

    async def test_jobs_are_found_by_type_and_status(self, hub: Hub) -> None:
        await hub.jobs.create("a", twin_job())
        await hub.jobs.create("b", method_job())
        await ended(hub, "a")
        await ended(hub, "b")
        await hub.jobs.create("c", twin_job(startTime="2026-01-02T00:00:00Z"))
        assert [job["jobId"] for job in hub.jobs.query(None, None)] == ["a", "b", "c"]
        assert [job["jobId"] for job in hub.jobs.query("scheduleDeviceMethod", None)] == ["b"]
        assert [job["jobId"] for job in hub.jobs.query("scheduleUpdateTwin", "completed")] == ["a"]

    def test_ended_jobs_stay_as_they_are(self) -> None:
        assert {state for state, following in TRANSITIONS.items() if not following} == {
            "completed",
            "failed",
            "cancelled",
        }
        assert {state for state, following in TRANSITIONS.items() if following} == set(ACTIVE)


class TestTime:
    async def test_a_scheduled_job_waits_for_its_time(self, hub: Hub, clock: ManualClock) -> None:
        await add_devices(hub, 1)
        await hub.jobs.create("job-1", twin_job("*", startTime=iso(clock.now() + 3600)))
        assert hub.jobs.get("job-1")["status"] == "scheduled"
        assert intervals(hub) == [None]
        clock.advance(3601)
        assert (await ended(hub, "job-1"))["status"] == "completed"
        assert intervals(hub) == [2]

    async def test_a_waiting_job_can_be_cancelled(self, hub: Hub, clock: ManualClock) -> None:
        await add_devices(hub, 1)
        await hub.jobs.create("job-1", twin_job("*", startTime=iso(clock.now() + 3600)))
        assert (await hub.jobs.cancel("job-1"))["status"] == "cancelled"
        clock.advance(3601)
        await hub.store.write(lambda _: None)
        assert intervals(hub) == [None]

    async def test_an_ended_job_cannot_be_cancelled(self, hub: Hub) -> None:
        await hub.jobs.create("job-1", twin_job())
        await ended(hub, "job-1")
        with refusal("OperationNotAllowedInCurrentState"):
            await hub.jobs.cancel("job-1")


class TestRestart:
    async def test_a_scheduled_job_runs_after_a_restart(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
    ) -> None:
        first = await open_hub()
        await add_devices(first, 1)
        await first.jobs.create("job-1", twin_job("*", startTime=iso(clock.now() + 60)))
        await first.stop()
        await first.store.close()
        clock.advance(61)
        second = await open_hub()
        assert (await ended(second, "job-1"))["status"] == "completed"
        assert intervals(second) == [2]
        await second.stop()
        await second.store.close()

    async def test_a_running_job_goes_on_and_changes_no_twin_twice(
        self, open_hub: Callable[..., Awaitable[Hub]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(job_runner, "TWINS_PER_WRITE", 1)
        first = await open_hub()
        await add_devices(first, 6)
        events = first.events.subscribe()
        await first.jobs.create("job-1", twin_job("*"))
        sources = [(await anext(events))["source"] for _ in range(4)]
        assert sources == ["job", "job", "twinChangeEvents", "twinChangeEvents"]
        await first.stop()
        assert first.jobs.get("job-1")["status"] == "running"
        await first.store.close()
        second = await open_hub()
        job = await ended(second, "job-1")
        assert job["deviceJobStatistics"]["succeededCount"] == 6
        versions = [
            second.twins.get(Identity(f"d{number}"))["properties"]["desired"]["$version"] for number in range(6)
        ]
        assert versions == [2] * 6
        await second.stop()
        await second.store.close()

    async def test_jobs_are_forgotten_after_thirty_days(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
    ) -> None:
        first = await open_hub()
        await add_devices(first, 1)
        await first.jobs.create("job-1", twin_job("*"))
        await ended(first, "job-1")
        await first.stop()
        await first.store.close()
        clock.advance(31 * 24 * 3600)
        second = await open_hub()
        assert second.jobs.get("job-1")["status"] == "unknown"
        assert await rows_of(second, "job-1") == []
        await second.stop()
        await second.store.close()


class TestTiers:
    @pytest.mark.parametrize(("tier", "slots"), [("F1", 1), ("S1", 1), ("S2", 5), ("S3", 10)])
    async def test_scheduled_jobs_hold_the_slots_of_the_tier(
        self, open_hub: Callable[..., Awaitable[Hub]], tier: str, slots: int
    ) -> None:
        hub = await open_hub(tier=tier, throttle=True)
        later = twin_job(startTime="2026-01-02T00:00:00Z")
        for number in range(slots):
            await hub.jobs.create(f"job-{number}", later)
        with refusal("ThrottlingMaxActiveJobCountExceeded"):
            await hub.jobs.create("one-more", twin_job())
        await hub.jobs.cancel("job-0")
        await hub.jobs.create("one-more", twin_job())
        await hub.stop()
        await hub.store.close()

    async def test_without_throttling_any_number_may_wait(self, hub: Hub) -> None:
        for number in range(12):
            await hub.jobs.create(f"job-{number}", twin_job(startTime="2026-01-02T00:00:00Z"))

    @pytest.mark.parametrize(("tier", "units", "rate"), [("S1", 1, 10), ("S2", 20, 20), ("S3", 1, 50)])
    async def test_devices_a_second(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock, tier: str, units: int, rate: int
    ) -> None:
        hub = await open_hub(tier=tier, units=units, throttle=True)
        await add_devices(hub, rate + 5)
        events = hub.events.subscribe()
        await hub.jobs.create("job-1", twin_job("*"))
        while (await anext(events))["source"] != "twinChangeEvents":
            pass
        await hub.store.write(lambda _: None)
        assert hub.jobs.get("job-1")["deviceJobStatistics"]["succeededCount"] == rate
        clock.advance(1)
        assert (await ended(hub, "job-1"))["deviceJobStatistics"]["succeededCount"] == rate + 5
        await hub.stop()
        await hub.store.close()

    async def test_the_time_of_a_slow_job_can_run_out(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
    ) -> None:
        hub = await open_hub(tier="S1", throttle=True)
        await add_devices(hub, 12)
        events = hub.events.subscribe()
        await hub.jobs.create("job-1", twin_job("*", maxExecutionTimeInSeconds=5))
        while (await anext(events))["source"] != "twinChangeEvents":
            pass
        clock.advance(6)
        job = await ended(hub, "job-1")
        assert (job["status"], job["failureReason"]) == ("failed", "maxExecutionTimeInSeconds (5) is over")
        assert {row["status"] for row in await rows_of(hub, "job-1")} == {"completed", "canceled"}
        await hub.stop()
        await hub.store.close()
