from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub
from local_hub.twins.changes import difference

D1 = Identity("d1")


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


@pytest.fixture(autouse=True)
async def device(hub: Hub) -> None:
    await hub.registry.put_device("d1", {}, None)


class TestShape:
    async def test_a_new_twin(self, hub: Hub) -> None:
        identity = hub.registry.get_device("d1")
        born = "2026-01-01T00:00:00.0000000Z"
        assert hub.twins.get(D1) == {
            "deviceId": "d1",
            "etag": "AAAAAAAAAAE=",
            "deviceEtag": identity["etag"],
            "status": "enabled",
            "statusUpdateTime": "0001-01-01T00:00:00Z",
            "connectionState": "Disconnected",
            "lastActivityTime": "0001-01-01T00:00:00Z",
            "cloudToDeviceMessageCount": 0,
            "authenticationType": "sas",
            "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
            "modelId": "",
            "version": 2,
            "tags": {},
            "properties": {
                "desired": {"$metadata": {"$lastUpdated": born}, "$version": 1},
                "reported": {"$metadata": {"$lastUpdated": born}, "$version": 1},
            },
            "capabilities": {"iotEdge": False},
        }

    async def test_a_module_twin_names_its_module(self, hub: Hub) -> None:
        await hub.registry.put_module(Identity("d1", "m"), {}, None)
        assert hub.twins.get(Identity("d1", "m"))["moduleId"] == "m"

    async def test_an_unknown_twin_is_not_found_for_modules_too(self, hub: Hub) -> None:
        for identity in (Identity("nobody"), Identity("d1", "nothing")):
            with refusal("DeviceNotFound"):
                hub.twins.get(identity)

    async def test_the_device_sees_values_and_versions_only(self, hub: Hub) -> None:
        await hub.twins.patch(D1, {"tags": {"secret": 1}, "properties": {"desired": {"a": 1}}}, None)
        assert hub.twins.device_view(D1) == {"desired": {"a": 1, "$version": 2}, "reported": {"$version": 1}}


class TestPatch:
    async def test_tags_and_desired_are_merged_and_versions_move(self, hub: Hub) -> None:
        await hub.twins.patch(D1, {"tags": {"a": {"b": 1}}, "properties": {"desired": {"x": 1, "y": 2}}}, None)
        after = await hub.twins.patch(D1, {"tags": {"a": {"c": 2}}, "properties": {"desired": {"x": None}}}, None)
        assert after["tags"] == {"a": {"b": 1, "c": 2}}
        assert after["properties"]["desired"]["$version"] == 3
        assert "x" not in after["properties"]["desired"]
        assert (after["etag"], after["version"]) == ("AAAAAAAAAAM=", 4)

    async def test_tags_alone_leave_the_desired_version(self, hub: Hub) -> None:
        after = await hub.twins.patch(D1, {"tags": {"a": 1}}, None)
        assert after["properties"]["desired"]["$version"] == 1
        assert (after["etag"], after["version"]) == ("AAAAAAAAAAI=", 3)

    async def test_null_clears_all_tags(self, hub: Hub) -> None:
        await hub.twins.patch(D1, {"tags": {"a": 1}}, None)
        assert (await hub.twins.patch(D1, {"tags": None}, None))["tags"] == {}

    async def test_a_body_without_either_changes_nothing(self, hub: Hub) -> None:
        before = hub.twins.get(D1)
        assert await hub.twins.patch(D1, {"properties": {"reported": {"a": 1}}}, None) == before

    async def test_numbers_stay_as_they_were_written(self, hub: Hub) -> None:
        after = await hub.twins.patch(D1, {"properties": {"desired": {"int": 1, "float": 1.0}}}, None)
        stored = hub.twins.get(D1)["properties"]["desired"]
        assert (str(stored["int"]), str(stored["float"])) == ("1", "1.0")
        assert after == hub.twins.get(D1)

    @pytest.mark.parametrize(
        "body",
        [
            {"tags": 5},
            {"tags": {"a.b": 1}},
            {"tags": {"a": "x" * 8200}},
            {"properties": []},
            {"properties": {"desired": "x"}},
            {"properties": {"desired": {"a": [1, None]}}},
        ],
    )
    async def test_what_a_twin_may_not_hold_is_refused_and_nothing_changes(self, hub: Hub, body: Any) -> None:
        before = hub.twins.get(D1)
        with refusal("ArgumentInvalid"):
            await hub.twins.patch(D1, body, None)
        assert hub.twins.get(D1) == before

    async def test_a_stale_etag_is_refused_and_a_star_is_not(self, hub: Hub) -> None:
        etag = hub.twins.get(D1)["etag"]
        await hub.twins.patch(D1, {"tags": {"a": 1}}, f'"{etag}"')
        with refusal("PreconditionFailed"):
            await hub.twins.patch(D1, {"tags": {"a": 2}}, etag)
        await hub.twins.patch(D1, {"tags": {"a": 3}}, '"*"')

    async def test_parallel_patches_lose_nothing(self, hub: Hub) -> None:
        await asyncio.gather(*(hub.twins.patch(D1, {"tags": {f"t{number}": number}}, "*") for number in range(30)))
        after = hub.twins.get(D1)
        assert len(after["tags"]) == 30
        assert after["version"] == 32


class TestReplace:
    async def test_what_the_body_lacks_is_gone_but_reported_stays(self, hub: Hub) -> None:
        await hub.twins.patch(D1, {"tags": {"a": 1}, "properties": {"desired": {"x": 1}}}, None)
        await hub.twins.patch_reported(D1, {"r": 1}, None)
        after = await hub.twins.replace(D1, {"properties": {"desired": {"y": {"z": None, "k": 2}}}}, None)
        assert after["tags"] == {}
        desired = after["properties"]["desired"]
        assert {key: value for key, value in desired.items() if key[0] != "$"} == {"y": {"k": 2}}
        assert after["properties"]["reported"]["r"] == 1

    async def test_the_device_hears_what_to_change(self, hub: Hub, connect: Any) -> None:
        await hub.twins.patch(
            D1, {"properties": {"desired": {"gone": 1, "same": {"a": 1}, "deep": {"a": 1, "b": 2}}}}, None
        )
        link = connect("d1")
        await hub.twins.replace(
            D1, {"properties": {"desired": {"same": {"a": 1}, "deep": {"a": 3}, "new": True}}}, None
        )
        assert link.pushed == [{"gone": None, "deep": {"a": 3, "b": None}, "new": True, "$version": 3}]

    @pytest.mark.parametrize(
        ("old", "new", "patch"),
        [
            ({}, {}, {}),
            ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
            ({"a": 1}, {"a": True}, {"a": True}),
            ({"a": {}}, {"a": 1}, {"a": 1}),
            ({"a": 1}, {"a": {}}, {"a": {}}),
            ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
        ],
    )
    def test_difference(self, old: Any, new: Any, patch: Any) -> None:
        assert str(difference(old, new)) == str(patch)


class TestReported:
    async def test_a_patch_gives_the_new_version_and_moves_no_etag(self, hub: Hub) -> None:
        before = hub.twins.get(D1)
        assert await hub.twins.patch_reported(D1, {"battery": 80}, None) == 2
        after = hub.twins.get(D1)
        assert after["properties"]["reported"]["battery"] == 80
        assert (after["etag"], after["version"]) == (before["etag"], before["version"])

    async def test_the_base_version_is_checked_in_both_places(self, hub: Hub) -> None:
        assert await hub.twins.patch_reported(D1, {"a": 1}, 1) == 2
        with refusal("PreconditionFailed"):
            await hub.twins.patch_reported(D1, {"a": 2}, 1)
        with refusal("PreconditionFailed"):
            await hub.twins.patch_reported(D1, {"a": 2, "$version": 1}, None)
        assert await hub.twins.patch_reported(D1, {"a": 3, "$version": 2}, None) == 3
        assert hub.twins.device_view(D1)["reported"] == {"a": 3, "$version": 3}

    async def test_metadata_dates_each_property(self, hub: Hub, clock: ManualClock) -> None:
        await hub.twins.patch_reported(D1, {"a": 1, "b": 1}, None)
        clock.advance(1)
        await hub.twins.patch_reported(D1, {"b": 2}, None)
        metadata = hub.twins.get(D1)["properties"]["reported"]["$metadata"]
        assert metadata["a"] == {"$lastUpdated": "2026-01-01T00:00:00.0000000Z"}
        assert metadata["b"] == {"$lastUpdated": "2026-01-01T00:00:01.0000000Z"}


class TestPushes:
    async def test_a_connected_device_hears_the_patch_as_given_with_its_version(self, hub: Hub, connect: Any) -> None:
        link = connect("d1")
        await hub.twins.patch(D1, {"properties": {"desired": {"rate": 5, "old": None, "$version": 77}}}, None)
        assert link.pushed == [{"rate": 5, "old": None, "$version": 2}]

    async def test_patches_arrive_in_the_order_of_their_versions(self, hub: Hub, connect: Any) -> None:
        link = connect("d1")
        await asyncio.gather(*(hub.twins.patch(D1, {"properties": {"desired": {"n": n}}}, "*") for n in range(50)))
        assert [patch["$version"] for patch in link.pushed] == list(range(2, 52))

    async def test_a_patch_is_pushed_even_when_its_caller_has_gone(self, hub: Hub, connect: Any) -> None:
        link = connect("d1")
        caller = asyncio.ensure_future(hub.twins.patch(D1, {"properties": {"desired": {"a": 1}}}, None))
        await asyncio.sleep(0)
        caller.cancel()
        await hub.store.write(lambda _: None)
        assert link.pushed == [{"a": 1, "$version": 2}]

    async def test_tags_and_refused_patches_are_not_pushed(self, hub: Hub, connect: Any) -> None:
        link = connect("d1")
        await hub.twins.patch(D1, {"tags": {"a": 1}}, None)
        with refusal("ArgumentInvalid"):
            await hub.twins.patch(D1, {"properties": {"desired": {"a b": 1}}}, None)
        assert link.pushed == []


class TestEvents:
    async def test_a_change_is_published_with_what_changed(self, hub: Hub) -> None:
        events = hub.events.subscribe()
        await hub.twins.patch(D1, {"tags": {"site": "a"}, "properties": {"desired": {"rate": 5}}}, None)
        event = await anext(events)
        assert event["source"] == "twinChangeEvents"
        assert event["deviceId"] == "d1"
        assert event["properties"]["opType"] == "updateTwin"
        assert event["properties"]["iothub-message-schema"] == "twinChangeNotification"
        stamp = {"$lastUpdated": "2026-01-01T00:00:00.0000000Z", "$lastUpdatedVersion": 2}
        assert event["body"] == {
            "version": 3,
            "tags": {"site": "a"},
            "properties": {"desired": {"rate": 5, "$metadata": {**stamp, "rate": stamp}, "$version": 2}},
        }

    async def test_reported_and_replace_have_their_own_shapes(self, hub: Hub) -> None:
        events = hub.events.subscribe()
        await hub.twins.patch_reported(D1, {"a": 1}, None)
        await hub.twins.replace(D1, {"tags": {"b": 1}}, None)
        first, second = await anext(events), await anext(events)
        assert list(first["body"]["properties"]) == ["reported"]
        assert second["properties"]["opType"] == "replaceTwin"
        assert set(second["body"]) == {"deviceId", "etag", "version", "tags", "properties"}
