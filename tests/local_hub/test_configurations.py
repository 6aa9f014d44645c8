from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock, SystemClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.configurations import runner as configuration_runner
from local_hub.configurations.cadence import Cadence
from local_hub.hub import Hub
from local_hub.timing import until

SITE_A = "tags.site = 'a'"
REAL = SystemClock()


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


def on_devices(condition: str = SITE_A, priority: int = 0, **settings: Any) -> dict[str, Any]:
    sections = {f"properties.desired.{name}": value for name, value in settings.items()}
    return {"content": {"deviceContent": sections}, "targetCondition": condition, "priority": priority}


async def put(hub: Hub, name: str, body: dict[str, Any], if_match: str | None = None) -> dict[str, Any]:
    """Creates or updates a configuration and waits for its effect."""
    made = await hub.configurations.put(name, body, if_match)
    await hub.configurations.settled()
    return made


async def add_device(hub: Hub, device_id: str, site: str | None = None, **more: Any) -> None:
    await hub.registry.put_device(device_id, more, None)
    if site:
        await tag(hub, device_id, site)
    await hub.configurations.settled()


async def tag(hub: Hub, device_id: str, site: str) -> None:
    await hub.twins.patch(Identity(device_id), {"tags": {"site": site}}, None)
    await hub.configurations.settled()


def desired(hub: Hub, device_id: str, module_id: str | None = None) -> dict[str, Any]:
    values = hub.twins.get(Identity(device_id, module_id))["properties"]["desired"]
    return {key: value for key, value in values.items() if not key.startswith("$")}


def statuses(hub: Hub, device_id: str, module_id: str | None = None) -> dict[str, str]:
    twin = hub.twins.get(Identity(device_id, module_id))
    return {name: entry["status"] for name, entry in twin.get("configurations", {}).items()}


class TestResources:
    async def test_a_configuration_is_made_and_read(self, hub: Hub) -> None:
        body = {**on_devices(fw={"ver": "2"}), "labels": {"k": "v"}, "schemaVersion": "2.0", "priority": 10}
        made = await put(hub, "fw-1", body)
        assert (made["id"], made["etag"], made["priority"]) == ("fw-1", "MQ==", 10)
        assert made["content"] == body["content"]
        assert (made["labels"], made["schemaVersion"]) == ({"k": "v"}, "2.0")
        assert made["metrics"] == {"queries": {}, "results": {}}
        assert made["systemMetrics"]["results"] == {}
        assert made["createdTimeUtc"] == made["lastUpdatedTimeUtc"] == "2026-01-01T00:00:00.0000000Z"
        assert [item["id"] for item in await hub.configurations.list()] == ["fw-1"]
        assert (await hub.configurations.get("fw-1"))["etag"] == "MQ=="

    async def test_creating_twice_is_refused(self, hub: Hub) -> None:
        await put(hub, "fw-1", on_devices(a=1))
        with refusal("ConfigurationAlreadyExists"):
            await put(hub, "fw-1", on_devices(a=1))

    async def test_an_update_needs_the_etag_and_leaves_the_content(self, hub: Hub, clock: ManualClock) -> None:
        await put(hub, "fw-1", on_devices(a=1))
        clock.advance(1)
        updated = await put(hub, "fw-1", on_devices(a=2, priority=5), "MQ==")
        assert (updated["etag"], updated["priority"]) == ("Mg==", 5)
        assert updated["content"] == on_devices(a=1)["content"]
        assert updated["lastUpdatedTimeUtc"] > updated["createdTimeUtc"]
        with refusal("PreconditionFailed"):
            await put(hub, "fw-1", on_devices(a=2), "MQ==")
        with refusal("ConfigurationNotFound"):
            await put(hub, "other", on_devices(a=2), "*")

    async def test_deleting(self, hub: Hub) -> None:
        await put(hub, "fw-1", on_devices(a=1))
        with refusal("PreconditionFailed"):
            await hub.configurations.delete("fw-1", "AAAA")
        await hub.configurations.delete("fw-1", None)
        with refusal("ConfigurationNotFound"):
            await hub.configurations.delete("fw-1", "*")
        with refusal("ConfigurationNotFound"):
            await hub.configurations.get("fw-1")

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            ({**on_devices(a=1), "targetCondition": "tags.a ="}, "InvalidConfigurationTargetCondition"),
            ({"targetCondition": "*"}, "InvalidConfigurationContent"),
            ({**on_devices(a=1), "metrics": {"queries": {"m": "SELECT"}}}, "InvalidConfigurationCustomMetricsQuery"),
            ({**on_devices(a=1), "priority": -1}, "ArgumentInvalid"),
            (
                {"content": {"modulesContent": {"$edgeAgent": {}, **{f"m{n}": {} for n in range(51)}}}},
                "ConfigurationCountLimitExceeded",
            ),
        ],
    )
    async def test_what_cannot_be_is_refused_by_name(self, hub: Hub, body: Any, name: str) -> None:
        with refusal(name):
            await hub.configurations.put("fw-1", body, None)
        assert await hub.configurations.list() == []

    async def test_a_hub_has_at_most_a_hundred(self, hub: Hub) -> None:
        for number in range(100):
            await hub.configurations.put(f"c{number}", on_devices("", a=1), None)
        with refusal("ConfigurationCountLimitExceeded"):
            await hub.configurations.put("one-more", on_devices("", a=1), None)
        await hub.configurations.put("c5", on_devices("", priority=3, a=1), "*")

    async def test_queries_can_be_tried(self, hub: Hub) -> None:
        given = {"targetCondition": SITE_A, "customMetricQueries": {"good": "SELECT * FROM devices", "bad": "SELECT"}}
        answer = hub.configurations.test_queries(given)
        assert answer["targetConditionError"] is None
        assert list(answer["customMetricQueryErrors"]) == ["bad"]
        assert hub.configurations.test_queries({"targetCondition": "*"})["targetConditionError"]


class TestDevices:
    async def test_it_is_applied_to_the_devices_it_targets(self, hub: Hub) -> None:
        await add_device(hub, "d1", "a")
        await add_device(hub, "d2", "b")
        await put(hub, "fw-1", on_devices(fw={"ver": "2"}))
        assert desired(hub, "d1") == {"fw": {"ver": "2"}}
        assert statuses(hub, "d1") == {"fw-1": "Applied"}
        assert (desired(hub, "d2"), statuses(hub, "d2")) == ({}, {})
        assert "configurations" not in hub.twins.get(Identity("d2"))

    async def test_connected_devices_hear_of_it_once(self, hub: Hub, connect: Any) -> None:
        await add_device(hub, "d1", "a")
        link = connect("d1")
        await put(hub, "fw-1", on_devices(a=1))
        await put(hub, "fw-2", on_devices("tags.site = 'z'", a=1))
        assert link.pushed == [{"a": 1, "$version": 2}]

    async def test_only_what_differs_moves_versions(self, hub: Hub) -> None:
        await add_device(hub, "d1", "a")
        before = hub.twins.get(Identity("d1"))
        await put(hub, "fw-1", on_devices(a=1))
        await put(hub, "fw-2", on_devices(a=1))
        after = hub.twins.get(Identity("d1"))
        assert after["properties"]["desired"]["$version"] == 2
        assert after["version"] == before["version"] + 1
        assert statuses(hub, "d1") == {"fw-1": "Targeted", "fw-2": "Applied"}

    async def test_a_device_that_begins_to_match_gets_it_and_one_that_stops_loses_it(self, hub: Hub) -> None:
        await put(hub, "fw-1", on_devices(a=1, b=1))
        await put(hub, "all", on_devices("*", a=0))
        await add_device(hub, "d1")
        assert desired(hub, "d1") == {"a": 0}
        await hub.configurations.put("fw-1", on_devices(priority=1, a=1), "*")
        await tag(hub, "d1", "a")
        assert desired(hub, "d1") == {"a": 1, "b": 1}
        await hub.twins.patch(Identity("d1"), {"properties": {"desired": {"own": 1}}}, None)
        await tag(hub, "d1", "b")
        assert (desired(hub, "d1"), statuses(hub, "d1")) == ({"a": 0, "own": 1}, {"all": "Applied"})

    async def test_reported_properties_count_when_a_condition_reads_them(self, hub: Hub) -> None:
        await put(hub, "fw-1", on_devices("properties.reported.battery < 20", saving=True))
        await add_device(hub, "d1")
        await hub.twins.patch_reported(Identity("d1"), {"battery": 10}, None)
        await hub.configurations.settled()
        assert desired(hub, "d1") == {"saving": True}

    async def test_a_changed_condition_or_priority_is_followed(self, hub: Hub) -> None:
        await add_device(hub, "d1", "a")
        await put(hub, "one", on_devices(a=1))
        await put(hub, "two", on_devices(a=2))
        assert desired(hub, "d1") == {"a": 2}
        await put(hub, "one", on_devices(priority=1, a=1), "*")
        assert desired(hub, "d1") == {"a": 1}
        await put(hub, "one", on_devices("tags.site = 'b'", a=1), "*")
        assert (desired(hub, "d1"), statuses(hub, "d1")) == ({"a": 2}, {"two": "Applied"})

    async def test_deleting_keeps_what_was_written_and_lets_the_next_take_over(self, hub: Hub) -> None:
        await add_device(hub, "d1", "a")
        await put(hub, "low", on_devices(a=1))
        await put(hub, "high", on_devices(priority=1, a=2, b=2))
        await hub.configurations.delete("high", None)
        await hub.configurations.settled()
        assert (desired(hub, "d1"), statuses(hub, "d1")) == ({"a": 1, "b": 2}, {"low": "Applied"})

    async def test_queries_find_devices_by_status(self, hub: Hub) -> None:
        await add_device(hub, "d1", "a")
        await add_device(hub, "d2", "b")
        await put(hub, "fw-1", on_devices(a=1))
        page = await hub.twins.query(
            "SELECT deviceId FROM devices WHERE configurations.[[fw-1]].status = 'Applied'", 10, None
        )
        assert page.rows == [{"deviceId": "d1"}]

    async def test_a_device_that_has_no_room_stays_as_it_is_and_others_do_not(
        self, hub: Hub, caplog: pytest.LogCaptureFixture
    ) -> None:
        await add_device(hub, "d1", "a")
        await add_device(hub, "d2", "a")
        full = {f"k{number}": "x" * 4000 for number in range(8)}
        await hub.twins.patch(Identity("d1"), {"properties": {"desired": full}}, None)
        await put(hub, "big", on_devices(more="y" * 4000))
        assert (set(desired(hub, "d1")), statuses(hub, "d1")) == (set(full), {})
        assert statuses(hub, "d2") == {"big": "Applied"}
        assert "d1" in caplog.text

    async def test_it_works_in_chunks(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(configuration_runner, "DEVICES_PER_WRITE", 2)
        monkeypatch.setattr(configuration_runner, "QUEUED_PER_WRITE", 3)
        for number in range(7):
            await add_device(hub, f"d{number}")
        await put(hub, "all", on_devices("*", a=1))
        assert [desired(hub, f"d{number}") for number in range(7)] == [{"a": 1}] * 7


class TestModules:
    BODY: dict[str, Any] = {  # noqa: RUF012
        "content": {"moduleContent": {"properties.desired.rate": 5}},
        "targetCondition": "from devices.modules where moduleId = 'sim' and tags.on = true",
    }

    async def test_it_is_applied_to_the_modules_it_targets(self, hub: Hub) -> None:
        await add_device(hub, "d1")
        for name in ("sim", "other"):
            await hub.registry.put_module(Identity("d1", name), {}, None)
            await hub.twins.patch(Identity("d1", name), {"tags": {"on": True}}, None)
        await put(hub, "rate", self.BODY)
        assert (desired(hub, "d1", "sim"), statuses(hub, "d1", "sim")) == ({"rate": 5}, {"rate": "Applied"})
        assert desired(hub, "d1", "other") == {}
        metrics = (await hub.configurations.get("rate"))["systemMetrics"]["results"]
        assert metrics == {"targetedCount": 1, "appliedCount": 1}

    async def test_a_module_that_comes_later_gets_it(self, hub: Hub) -> None:
        await put(hub, "rate", {**self.BODY, "targetCondition": "from devices.modules where moduleId = 'sim'"})
        await add_device(hub, "d1")
        await hub.registry.put_module(Identity("d1", "sim"), {}, None)
        await hub.configurations.settled()
        assert desired(hub, "d1", "sim") == {"rate": 5}


class TestMetrics:
    async def test_they_count_the_rows_of_their_queries(self, hub: Hub) -> None:
        for name, site in (("d1", "a"), ("d2", "a"), ("d3", "b")):
            await add_device(hub, name, site)
        queries = {
            "done": "SELECT deviceId FROM devices WHERE properties.reported.fw.ver = '2'",
            "sites": "SELECT tags.site, COUNT() AS n FROM devices GROUP BY tags.site",
            "two": "SELECT TOP 2 * FROM devices",
            "off": "SELECT * FROM devices WHERE connectionState = 'Disconnected'",
        }
        await put(hub, "fw-1", {**on_devices(fw={"ver": "2"}), "metrics": {"queries": queries}})
        await hub.twins.patch_reported(Identity("d1"), {"fw": {"ver": "2"}}, None)
        read = await hub.configurations.get("fw-1")
        assert read["metrics"] == {"queries": queries, "results": {"done": 1, "sites": 2, "two": 2, "off": 3}}
        assert read["systemMetrics"] == {
            "queries": {
                "targetedCount": "select deviceId from devices where tags.site = 'a'",
                "appliedCount": "select deviceId from devices where configurations.[[fw-1]].status = 'Applied'",
            },
            "results": {"targetedCount": 2, "appliedCount": 2},
        }

    async def test_one_that_is_for_nobody_counts_nobody(self, hub: Hub) -> None:
        await put(hub, "fw-1", on_devices("", a=1))
        system = (await hub.configurations.get("fw-1"))["systemMetrics"]
        assert system["queries"]["targetedCount"] == ""
        assert system["results"] == {"targetedCount": 0, "appliedCount": 0}


class TestCadence:
    async def test_what_a_service_overwrites_comes_back_with_the_next_pass(self, hub: Hub, clock: ManualClock) -> None:
        await add_device(hub, "d1", "a")
        await put(hub, "fw-1", on_devices(a=1))
        await hub.twins.patch(Identity("d1"), {"properties": {"desired": {"a": 9}}}, None)
        await hub.configurations.settled()
        assert desired(hub, "d1") == {"a": 9}
        clock.advance(299)
        await hub.configurations.settled()
        assert desired(hub, "d1") == {"a": 9}
        clock.advance(1)
        await until(REAL, REAL.monotonic() + 30, lambda: desired(hub, "d1") == {"a": 1})

    async def test_a_cadence_of_passes_only_waits_for_them(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
    ) -> None:
        hub = await open_hub(cadence=Cadence(immediate=False))
        await put(hub, "fw-1", on_devices(a=1))
        await add_device(hub, "d1", "a")
        assert desired(hub, "d1") == {}
        assert (await hub.configurations.get("fw-1"))["systemMetrics"]["results"]["targetedCount"] == 0
        clock.advance(300)
        await until(REAL, REAL.monotonic() + 30, lambda: desired(hub, "d1") == {"a": 1})
        await hub.configurations.settled()
        assert (await hub.configurations.get("fw-1"))["systemMetrics"]["results"]["targetedCount"] == 1
        await hub.stop()
        await hub.store.close()

    async def test_a_restart_goes_on_where_it_stopped(
        self, open_hub: Callable[..., Awaitable[Hub]], clock: ManualClock
    ) -> None:
        first = await open_hub()
        await add_device(first, "d1", "a")
        await first.configurations.stop()
        await first.configurations.put("fw-1", on_devices(a=1), None)
        await first.stop()
        await first.store.close()
        second = await open_hub()
        await second.configurations.settled()
        assert desired(second, "d1") == {"a": 1}
        await second.stop()
        await second.store.close()
