from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub

KEYS = {"primaryKey": base64.b64encode(b"p" * 32).decode(), "secondaryKey": base64.b64encode(b"s" * 32).decode()}


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


class TestCreateAndRead:
    async def test_a_new_device_is_enabled_with_two_generated_keys(self, hub: Hub) -> None:
        made = await hub.registry.put_device("d1", {"deviceId": "d1"}, None)
        assert made["status"] == "enabled"
        assert made["connectionState"] == "Disconnected"
        assert made["capabilities"] == {"iotEdge": False}
        assert made["statusUpdatedTime"] == "0001-01-01T00:00:00"
        keys = made["authentication"]["symmetricKey"]
        assert {len(base64.b64decode(key)) for key in keys.values()} == {32}
        assert keys["primaryKey"] != keys["secondaryKey"]
        assert hub.registry.get_device("d1") == made

    async def test_the_documents_have_the_services_members(self, hub: Hub) -> None:
        device = await hub.registry.put_device("d1", {}, None)
        module = await hub.registry.put_module(Identity("d1", "m1"), {}, None)
        assert set(device) == {
            *("deviceId", "generationId", "etag", "connectionState", "status", "statusReason", "authentication"),
            *("connectionStateUpdatedTime", "statusUpdatedTime", "lastActivityTime", "cloudToDeviceMessageCount"),
            "capabilities",
        }
        assert set(module) == {
            *("moduleId", "managedBy", "deviceId", "generationId", "etag", "connectionState", "authentication"),
            *("connectionStateUpdatedTime", "lastActivityTime", "cloudToDeviceMessageCount"),
        }

    async def test_generation_ids_look_like_ticks_and_change_when_a_device_is_made_again(self, hub: Hub) -> None:
        first = await hub.registry.put_device("d1", {}, None)
        await hub.registry.delete_device("d1", "*")
        second = await hub.registry.put_device("d1", {}, None)
        assert first["generationId"] == "639028224000000000"
        assert second["generationId"] > first["generationId"]

    async def test_a_device_id_is_checked(self, hub: Hub) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.put_device("no spaces", {}, None)

    async def test_the_body_must_be_of_the_device_in_the_path(self, hub: Hub) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.put_device("d1", {"deviceId": "d2"}, None)

    async def test_an_unknown_device_is_not_found(self, hub: Hub) -> None:
        with refusal("DeviceNotFound"):
            hub.registry.get_device("nobody")

    async def test_devices_are_listed_in_order_without_modules(self, hub: Hub) -> None:
        for name in ("b", "a", "c"):
            await hub.registry.put_device(name, {}, None)
        await hub.registry.put_module(Identity("a", "m"), {}, None)
        assert [device["deviceId"] for device in hub.registry.list_devices(2)] == ["a", "b"]

    async def test_statistics_count_devices_only(self, hub: Hub) -> None:
        await hub.registry.put_device("a", {}, None)
        await hub.registry.put_device("b", {"status": "disabled"}, None)
        await hub.registry.put_module(Identity("a", "m"), {}, None)
        assert hub.registry.statistics() == {
            "totalDeviceCount": 2,
            "enabledDeviceCount": 1,
            "disabledDeviceCount": 1,
        }


class TestIfMatch:
    async def test_a_put_without_it_only_creates(self, hub: Hub) -> None:
        made = await hub.registry.put_device("d1", {}, None)
        with refusal("DeviceAlreadyExists"):
            await hub.registry.put_device("d1", {"etag": made["etag"]}, None)

    @pytest.mark.parametrize("if_match", ["*", '"*"'])
    async def test_a_star_updates_whatever_is_there(self, hub: Hub, if_match: str) -> None:
        await hub.registry.put_device("d1", {}, None)
        assert (await hub.registry.put_device("d1", {"status": "disabled"}, if_match))["status"] == "disabled"

    @pytest.mark.parametrize("form", ["{}", '"{}"'])
    async def test_the_current_etag_updates_with_and_without_quotes(self, hub: Hub, form: str) -> None:
        made = await hub.registry.put_device("d1", {}, None)
        after = await hub.registry.put_device("d1", {}, form.format(made["etag"]))
        assert after["etag"] != made["etag"]

    async def test_a_stale_etag_is_refused(self, hub: Hub) -> None:
        made = await hub.registry.put_device("d1", {}, None)
        await hub.registry.put_device("d1", {}, made["etag"])
        with refusal("PreconditionFailed"):
            await hub.registry.put_device("d1", {}, made["etag"])

    async def test_updating_what_is_not_there_is_not_found(self, hub: Hub) -> None:
        with refusal("DeviceNotFound"):
            await hub.registry.put_device("d1", {}, "*")

    async def test_a_delete_needs_it(self, hub: Hub) -> None:
        made = await hub.registry.put_device("d1", {}, None)
        for if_match in (None, "c3RhbGU="):
            with refusal("PreconditionFailed"):
                await hub.registry.delete_device("d1", if_match)
        await hub.registry.delete_device("d1", f'"{made["etag"]}"')
        with refusal("DeviceNotFound"):
            await hub.registry.delete_device("d1", "*")

    async def test_the_same_holds_for_modules(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        module = Identity("d1", "m1")
        with refusal("ModuleNotFound"):
            await hub.registry.put_module(module, {}, "*")
        made = await hub.registry.put_module(module, {"managedBy": "me"}, None)
        with refusal("ModuleAlreadyExistsOnDevice"):
            await hub.registry.put_module(module, {}, None)
        with refusal("PreconditionFailed"):
            await hub.registry.put_module(module, {}, "c3RhbGU=")
        assert (await hub.registry.put_module(module, {}, made["etag"]))["managedBy"] is None
        with refusal("PreconditionFailed"):
            await hub.registry.delete_module(module, None)
        await hub.registry.delete_module(module, "*")

    async def test_the_etag_moves_on_identity_writes_only(self, hub: Hub, connect: Any) -> None:
        made = await hub.registry.put_device("d1", {}, None)
        connect("d1")
        await hub.twins.patch(Identity("d1"), {"tags": {"a": 1}}, None)
        await hub.twins.patch_reported(Identity("d1"), {"b": 1}, None)
        assert hub.registry.get_device("d1")["etag"] == made["etag"]
        assert base64.b64decode(made["etag"]).isdigit()


class TestAuthentication:
    async def test_given_keys_are_kept(self, hub: Hub) -> None:
        body = {"authentication": {"type": "sas", "symmetricKey": KEYS}}
        made = await hub.registry.put_device("d1", body, None)
        assert made["authentication"]["symmetricKey"] == KEYS

    async def test_an_update_that_leaves_it_out_makes_new_keys(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {"authentication": {"symmetricKey": KEYS}}, None)
        after = await hub.registry.put_device("d1", {}, "*")
        assert after["authentication"]["symmetricKey"]["primaryKey"] != KEYS["primaryKey"]

    @pytest.mark.parametrize(
        "authentication",
        [
            {"symmetricKey": {"primaryKey": KEYS["primaryKey"]}},
            {"symmetricKey": {"primaryKey": "c2hvcnQ=", "secondaryKey": KEYS["secondaryKey"]}},
            {"type": "none"},
            {"type": "password"},
            {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "AB:CD"}},
            "sas",
        ],
    )
    async def test_what_cannot_be_is_refused(self, hub: Hub, authentication: Any) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.put_device("d1", {"authentication": authentication}, None)

    async def test_a_refusal_does_not_repeat_the_key(self, hub: Hub) -> None:
        bad = {"symmetricKey": {"primaryKey": "c2VjcmV0", "secondaryKey": "c2VjcmV0"}}
        with pytest.raises(HubError) as caught:
            await hub.registry.put_device("d1", {"authentication": bad}, None)
        assert "c2VjcmV0" not in str(caught.value)

    async def test_thumbprints_are_kept_as_given_and_without_keys(self, hub: Hub) -> None:
        thumbprint = {"primaryThumbprint": "aB" * 20, "secondaryThumbprint": None}
        made = await hub.registry.put_device("d1", {"authentication": {"x509Thumbprint": thumbprint}}, None)
        assert made["authentication"] == {
            "symmetricKey": {"primaryKey": None, "secondaryKey": None},
            "x509Thumbprint": thumbprint,
            "type": "selfSigned",
        }

    async def test_none_on_a_module_becomes_sas(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        made = await hub.registry.put_module(Identity("d1", "m"), {"authentication": {"type": "none"}}, None)
        assert made["authentication"]["type"] == "sas"


class TestModules:
    async def test_deleting_a_device_deletes_its_modules(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        await hub.registry.put_module(Identity("d1", "m"), {}, None)
        await hub.registry.delete_device("d1", "*")
        await hub.registry.put_device("d1", {}, None)
        assert hub.registry.list_modules("d1") == []

    async def test_calls_on_a_missing_or_disabled_device_are_unauthorized(self, hub: Hub) -> None:
        await hub.registry.put_device("off", {"status": "disabled"}, None)
        for device_id in ("off", "nobody"):
            with refusal("IotHubUnauthorizedAccess"):
                hub.registry.list_modules(device_id)
            with refusal("IotHubUnauthorizedAccess"):
                await hub.registry.put_module(Identity(device_id, "m"), {}, None)

    async def test_a_device_may_have_fifty(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        for number in range(50):
            await hub.registry.put_module(Identity("d1", f"m{number}"), {}, None)
        with refusal("TooManyModulesOnDevice"):
            await hub.registry.put_module(Identity("d1", "one-more"), {}, None)


class TestEdge:
    async def test_an_edge_device_gets_a_scope_and_the_two_system_modules(self, hub: Hub) -> None:
        made = await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}, "deviceScope": "mine"}, None)
        assert made["deviceScope"].startswith("ms-azure-iot-edge://e1-6390")
        modules = hub.registry.list_modules("e1")
        assert [module["moduleId"] for module in modules] == ["$edgeAgent", "$edgeHub"]
        assert {module["managedBy"] for module in modules} == {"iotEdge"}
        assert {module["authentication"]["type"] for module in modules} == {"none"}

    async def test_its_scope_cannot_be_changed(self, hub: Hub) -> None:
        made = await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None)
        with refusal("ArgumentInvalid"):
            await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, "*")
        assert (await hub.registry.put_device("e1", made, "*"))["deviceScope"] == made["deviceScope"]

    async def test_a_leaf_with_an_edges_scope_becomes_its_child(self, hub: Hub) -> None:
        scope = (await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None))["deviceScope"]
        leaf = await hub.registry.put_device("leaf", {"deviceScope": scope}, None)
        assert (leaf["deviceScope"], leaf["parentScopes"]) == (scope, [scope])
        assert "deviceScope" not in await hub.registry.put_device("leaf", {}, "*")

    async def test_a_scope_of_nobody_is_refused(self, hub: Hub) -> None:
        with refusal("InvalidDeviceScope"):
            await hub.registry.put_device("leaf", {"deviceScope": "ms-azure-iot-edge://nobody-1"}, None)

    async def test_a_leaf_may_become_an_edge_device_and_back(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        edge = await hub.registry.put_device("d1", {"capabilities": {"iotEdge": True}}, "*")
        assert edge["deviceScope"] == "ms-azure-iot-edge://d1-"
        assert len(hub.registry.list_modules("d1")) == 2
        leaf = await hub.registry.put_device("d1", {}, "*")
        assert "deviceScope" not in leaf
        assert hub.registry.list_modules("d1") == []

    async def test_the_daemon_may_give_a_system_module_keys(self, hub: Hub) -> None:
        await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None)
        agent = Identity("e1", "$edgeAgent")
        made = await hub.registry.put_module(agent, {"managedBy": "iotEdge", "authentication": {"type": "sas"}}, "*")
        assert made["authentication"]["symmetricKey"]["primaryKey"]


class TestStatus:
    async def test_a_change_of_status_is_dated(self, hub: Hub, clock: ManualClock) -> None:
        await hub.registry.put_device("d1", {}, None)
        clock.advance(60)
        after = await hub.registry.put_device("d1", {"status": "disabled", "statusReason": "lost"}, "*")
        assert after["statusUpdatedTime"] == "2026-01-01T00:01:00.0000000Z"
        assert after["statusReason"] == "lost"

    async def test_disabling_or_deleting_ends_the_connection_of_device_and_modules(
        self, hub: Hub, connect: Any
    ) -> None:
        await hub.registry.put_device("d1", {}, None)
        await hub.registry.put_module(Identity("d1", "m"), {}, None)
        device, module = connect("d1"), connect("d1", "m")
        await hub.registry.put_device("d1", {"status": "disabled"}, "*")
        assert (len(device.closed), len(module.closed)) == (1, 1)
        again = connect("d1")
        await hub.registry.delete_device("d1", "*")
        assert len(again.closed) == 1
        assert hub.sessions.connected_count == 0

    async def test_connection_times_are_kept(self, hub: Hub, connect: Any, clock: ManualClock) -> None:
        await hub.registry.put_device("d1", {}, None)
        link = connect("d1")
        assert hub.registry.get_device("d1")["connectionState"] == "Connected"
        clock.advance(1)
        hub.sessions.touch(Identity("d1"))
        clock.advance(1)
        hub.sessions.detach(Identity("d1"), link)
        await asyncio.sleep(0)  # the notes of both changes are now in the queue, before this write
        await hub.store.write(lambda _: None)
        after = hub.registry.get_device("d1")
        assert after["connectionState"] == "Disconnected"
        assert after["lastActivityTime"] == "2026-01-01T00:00:01.0000000Z"
        assert after["connectionStateUpdatedTime"] == "2026-01-01T00:00:02.0000000Z"


class TestBulk:
    async def test_items_are_applied_each_on_its_own(self, hub: Hub) -> None:
        await hub.registry.put_device("old", {}, None)
        result = await hub.registry.bulk(
            [
                {"id": "new", "importMode": "create", "status": "disabled", "tags": {"a": 1}},
                {"id": "old", "importMode": "create"},
                {"id": "old", "moduleId": "m", "importMode": "create"},
                {"id": "nobody", "importMode": "update"},
            ]
        )
        assert result["isSuccessful"] is False
        assert [(error["deviceId"], error["errorCode"]) for error in result["errors"]] == [
            ("old", "DeviceAlreadyExists"),
            ("nobody", "DeviceNotFound"),
        ]
        assert hub.twins.get(Identity("new"))["tags"] == {"a": 1}
        assert hub.registry.get_device("new")["status"] == "disabled"
        assert hub.registry.get_module(Identity("old", "m"))["moduleId"] == "m"

    async def test_twins_are_patched_and_devices_deleted(self, hub: Hub) -> None:
        for name in ("a", "b"):
            await hub.registry.put_device(name, {}, None)
        etag = hub.twins.get(Identity("a"))["etag"]
        result = await hub.registry.bulk(
            [
                {
                    "id": "a",
                    "importMode": "updateTwinIfMatchETag",
                    "twinETag": etag,
                    "properties": {"desired": {"x": 1}},
                },
                {"id": "b", "importMode": "delete"},
            ]
        )
        assert result == {"isSuccessful": True, "errors": [], "warnings": []}
        assert hub.twins.get(Identity("a"))["properties"]["desired"]["x"] == 1
        assert [device["deviceId"] for device in hub.registry.list_devices(10)] == ["a"]

    async def test_create_or_update_does_either(self, hub: Hub) -> None:
        for status in ("enabled", "disabled"):
            await hub.registry.bulk([{"id": "a", "importMode": "createOrUpdate", "status": status}])
            assert hub.registry.get_device("a")["status"] == status

    async def test_a_call_that_is_wrong_as_a_whole_is_refused(self, hub: Hub) -> None:
        with refusal("TooManyDevices"):
            await hub.registry.bulk([{"id": f"d{number}"} for number in range(101)])
        with refusal("DeviceDefinedMultipleTimes"):
            await hub.registry.bulk([{"id": "d"}, {"id": "d"}])
        with refusal("ArgumentInvalid"):
            await hub.registry.bulk(["d"])
