"""The registry's rules as tables: fields, keys, scopes, bulk modes and key rotation."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub

EDGE = {"capabilities": {"iotEdge": True}}
KEY = base64.b64encode(b"k" * 32).decode()


def key_of(length: int) -> str:
    return base64.b64encode(b"k" * length).decode()


def with_keys(primary: Any, secondary: Any) -> dict[str, Any]:
    return {"authentication": {"symmetricKey": {"primaryKey": primary, "secondaryKey": secondary}}}


def with_thumbprint(text: Any) -> dict[str, Any]:
    return {"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": text}}}


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


class TestFields:
    @pytest.mark.parametrize(
        "body",
        [
            {"status": "Enabled"},
            {"status": None, "statusReason": None, "capabilities": None, "authentication": None},
            {"statusReason": "x" * 128},
            {"capabilities": {}},
            {"deviceId": None},
            {"etag": "ignored", "generationId": "ignored", "connectionState": "Connected", "unknown": [1]},
            {"authentication": {"type": "SAS"}},
            {"authentication": {"type": "selfSigned"}},
            {"authentication": {"type": "certificateAuthority"}},
            with_keys(None, None),
            with_keys(key_of(16), key_of(64)),
            with_thumbprint("0" * 40),
            with_thumbprint("aF" * 32),
            {"parentScopes": ["ms-azure-iot-edge://nobody-1"]},
        ],
    )
    async def test_what_is_taken(self, hub: Hub, body: dict[str, Any]) -> None:
        made = await hub.registry.put_device("d", body, None)
        assert made["status"] in ("enabled", "disabled")
        assert "parentScopes" not in made

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"status": "asleep"}, "status"),
            ({"status": 1}, "status"),
            ({"statusReason": "x" * 129}, "statusReason"),
            ({"capabilities": {"iotEdge": "yes"}}, "iotEdge"),
            ({"capabilities": []}, "capabilities"),
            ({"deviceId": "another"}, "deviceId"),
            ({"authentication": "sas"}, "authentication"),
            ({"authentication": {"type": "none"}}, "DeviceAuthenticationTypeIsMissing"),
            ({"authentication": {"type": "password"}}, "authentication type"),
            ({"authentication": {"symmetricKey": "k"}}, "symmetricKey"),
            (with_keys(KEY, None), "Either no keys or both keys can be set"),
            (with_keys(key_of(15), KEY), "Invalid device key length"),
            (with_keys(KEY, key_of(65)), "Invalid device key length"),
            (with_keys("not base64!", KEY), "Invalid device key length"),
            (with_keys(1, KEY), "primaryKey"),
            (with_thumbprint("AB:CD"), "StringIsNotThumbprint"),
            (with_thumbprint("A" * 41), "StringIsNotThumbprint"),
            (with_thumbprint("G" * 40), "StringIsNotThumbprint"),
            ({"parentScopes": "one"}, "parentScopes"),
            ({"parentScopes": ["a", "b"]}, "one parent"),
        ],
    )
    async def test_what_is_refused(self, hub: Hub, body: dict[str, Any], words: str) -> None:
        with pytest.raises(HubError, match=f"^ArgumentInvalid .*{words}"):
            await hub.registry.put_device("d", body, None)

    @pytest.mark.parametrize("device_id", ["a", "A-:.+%_#*?!(),=@;$'", "x" * 128, "$edgeAgent"])
    async def test_ids_that_are_taken(self, hub: Hub, device_id: str) -> None:
        assert (await hub.registry.put_device(device_id, {}, None))["deviceId"] == device_id

    @pytest.mark.parametrize("device_id", ["", "x" * 129, "a b", "a/b", "ä", "a&b", "a\x00"])
    async def test_ids_that_are_refused(self, hub: Hub, device_id: str) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.put_device(device_id, {}, None)

    async def test_ids_differ_by_case(self, hub: Hub) -> None:
        for name in ("Device", "device"):
            await hub.registry.put_device(name, {}, None)
        assert hub.registry.statistics()["totalDeviceCount"] == 2

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        body=st.dictionaries(
            st.sampled_from(
                ["deviceId", "status", "statusReason", "authentication", "capabilities", "deviceScope", "parentScopes"]
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(
                        st.sampled_from(["type", "symmetricKey", "x509Thumbprint", "primaryKey", "iotEdge"]), inner
                    )
                ),
                max_leaves=5,
            ),
        )
    )
    async def test_any_body_is_taken_or_refused_by_name(self, hub: Hub, body: dict[str, Any]) -> None:
        with suppress(HubError):
            await hub.registry.put_device("any", body, None)
            await hub.registry.delete_device("any", "*")
        with refusal("DeviceNotFound"):
            hub.registry.get_device("any")


class TestModuleFields:
    @pytest.mark.parametrize("module_id", ["$custom", "$", "a b", "x" * 129, 5])
    async def test_ids_that_are_refused(self, hub: Hub, module_id: Any) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.bulk([{"id": "d", "moduleId": module_id}])

    @pytest.mark.parametrize("module_id", ["$edgeAgent", "$edgeHub"])
    async def test_the_hub_s_own_ids_are_for_edge_devices(self, hub: Hub, module_id: str) -> None:
        await hub.registry.put_device("d", {}, None)
        with refusal("ArgumentInvalid"):
            await hub.registry.put_module(Identity("d", module_id), {}, None)

    async def test_modules_have_no_status_and_a_put_replaces_them_whole(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        made = await hub.registry.put_module(Identity("d", "m"), {"managedBy": "me", "status": "disabled"}, None)
        assert ("status" in made, made["managedBy"]) == (False, "me")
        assert (await hub.registry.put_module(Identity("d", "m"), {}, "*"))["managedBy"] is None

    @pytest.mark.parametrize("kind", ["selfSigned", "certificateAuthority"])
    async def test_modules_may_log_in_by_certificate(self, hub: Hub, kind: str) -> None:
        await hub.registry.put_device("d", {}, None)
        made = await hub.registry.put_module(Identity("d", "m"), {"authentication": {"type": kind}}, None)
        assert made["authentication"]["type"] == kind
        assert made["authentication"]["symmetricKey"] == {"primaryKey": None, "secondaryKey": None}


class TestScopes:
    async def edge(self, hub: Hub, name: str, parent: str | None = None) -> str:
        parents = {"parentScopes": [parent]} if parent else {}
        scope: str = (await hub.registry.put_device(name, {**EDGE, **parents}, None))["deviceScope"]
        return scope

    async def test_an_edge_device_becomes_a_child_by_parent_scopes_and_is_detached_without(self, hub: Hub) -> None:
        parent = await self.edge(hub, "parent")
        own = await self.edge(hub, "child", parent)
        made = hub.registry.get_device("child")
        assert (made["deviceScope"], made["parentScopes"]) == (own, [parent])
        none_given: tuple[dict[str, Any], ...] = ({}, {"parentScopes": []})
        for given_parents in none_given:
            after = await hub.registry.put_device("child", {**EDGE, "deviceScope": own, **given_parents}, "*")
            assert "parentScopes" not in after

    @pytest.mark.parametrize("scope", [None, "", "ms-azure-iot-edge://other-1"])
    async def test_an_edge_device_s_scope_must_be_echoed(self, hub: Hub, scope: str | None) -> None:
        await self.edge(hub, "e")
        with pytest.raises(HubError, match="Device scope is immutable"):
            await hub.registry.put_device("e", {**EDGE, "deviceScope": scope}, "*")

    async def test_a_leaf_with_a_parent_becomes_an_edge_device_with_an_empty_scope_only(self, hub: Hub) -> None:
        parent = await self.edge(hub, "parent")
        await hub.registry.put_device("leaf", {"deviceScope": parent}, None)
        with refusal("ServiceUnavailable"):
            await hub.registry.put_device("leaf", {**EDGE, "deviceScope": parent}, "*")
        body = {**EDGE, "deviceScope": "", "parentScopes": [parent]}
        after = await hub.registry.put_device("leaf", body, "*")
        assert (after["deviceScope"], after["parentScopes"]) == ("ms-azure-iot-edge://leaf-", [parent])

    async def test_an_edge_device_that_becomes_a_leaf_loses_its_parent(self, hub: Hub) -> None:
        parent = await self.edge(hub, "parent")
        await self.edge(hub, "child", parent)
        after = await hub.registry.put_device("child", {"deviceScope": parent, "parentScopes": [parent]}, "*")
        assert not {"deviceScope", "parentScopes"} & set(after)

    async def test_nobody_is_above_itself(self, hub: Hub) -> None:
        top = await self.edge(hub, "top")
        below = await self.edge(hub, "below", top)
        for parent in (top, below):
            with refusal("InvalidDeviceScope"):
                await hub.registry.put_device("top", {**EDGE, "deviceScope": top, "parentScopes": [parent]}, "*")

    async def test_edge_devices_nest_five_levels(self, hub: Hub) -> None:
        scope = None
        for level in range(5):
            scope = await self.edge(hub, f"level{level}", scope)
        with refusal("InvalidDeviceScope"):
            await self.edge(hub, "level5", scope)
        await hub.registry.put_device("leaf", {"deviceScope": scope}, None)

    async def test_an_edge_device_has_a_hundred_children(self, hub: Hub) -> None:
        scope = await self.edge(hub, "parent")
        items = [{"id": f"c{number}", "deviceScope": scope} for number in range(100)]
        assert (await hub.registry.bulk(items))["isSuccessful"]
        with refusal("InvalidDeviceScope"):
            await hub.registry.put_device("one-more", {"deviceScope": scope}, None)
        assert await hub.registry.put_device("c7", {"deviceScope": scope}, "*")

    async def test_children_are_found_by_a_query(self, hub: Hub) -> None:
        scope = await self.edge(hub, "parent")
        await hub.registry.put_device("leaf", {"deviceScope": scope}, None)
        query = f"SELECT deviceId FROM devices WHERE array_contains(parentScopes, '{scope}')"
        assert (await hub.twins.query(query, 10, None)).rows == [{"deviceId": "leaf"}]

    async def test_modules_that_come_and_go_with_the_capability_are_announced(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        stream = hub.events.subscribe()
        await hub.registry.put_device("d", EDGE, "*")
        await hub.registry.put_device("d", {}, "*")
        seen = [await anext(stream) for _ in range(4)]
        operations = [(event["properties"]["opType"], event["moduleId"]) for event in seen]
        assert operations == [
            (operation, module)
            for operation in ("createDeviceIdentity", "deleteDeviceIdentity")
            for module in ("$edgeAgent", "$edgeHub")
        ]


class TestBulkModes:
    @pytest.mark.parametrize(
        ("item", "code"),
        [
            ({"importMode": "create"}, "DeviceAlreadyExists"),
            ({"id": "new", "importMode": "create", "eTag": "MQ=="}, "ArgumentInvalid"),
            ({"id": "new", "importMode": "update"}, "DeviceNotFound"),
            ({"importMode": "updateIfMatchETag", "eTag": "c3RhbGU="}, "PreconditionFailed"),
            ({"importMode": "updateIfMatchETag"}, "ArgumentInvalid"),
            ({"id": "new", "importMode": "delete"}, "DeviceNotFound"),
            ({"importMode": "deleteIfMatchETag", "eTag": "c3RhbGU="}, "PreconditionFailed"),
            ({"id": "new", "importMode": "updateTwin", "tags": {}}, "DeviceNotFound"),
            ({"importMode": "updateTwinIfMatchETag", "twinETag": "c3RhbGU=", "tags": {}}, "PreconditionFailed"),
            ({"importMode": "updateTwin", "tags": {"a.b": 1}}, "ArgumentInvalid"),
            ({"importMode": "explode"}, "ArgumentInvalid"),
            ({"importMode": "update", "authentication": {"type": "none"}}, "ArgumentInvalid"),
            ({"moduleId": "m", "importMode": "update"}, "ModuleNotFound"),
            ({"id": "new", "moduleId": "m", "importMode": "create"}, "IotHubUnauthorizedAccess"),
        ],
    )
    async def test_an_item_s_error_names_it(self, hub: Hub, item: dict[str, Any], code: str) -> None:
        await hub.registry.put_device("old", {}, None)
        before = hub.twins.get(Identity("old"))
        result = await hub.registry.bulk([{"id": "old", **item}])
        (error,) = result["errors"]
        assert (result["isSuccessful"], error["errorCode"]) == (False, code)
        assert set(error) == {"deviceId", "moduleId", "errorCode", "errorStatus", "operation"}
        assert hub.twins.get(Identity("old")) == before

    @pytest.mark.parametrize("mode", ["update", "updateIfMatchETag", "createOrUpdate", "createOrUpdateIfMatchETag"])
    async def test_updates_replace_the_identity_and_leave_the_twin(self, hub: Hub, mode: str) -> None:
        made = await hub.registry.put_device("d", {"statusReason": "old"}, None)
        await hub.twins.patch(Identity("d"), {"tags": {"kept": True}}, None)
        item = {"id": "d", "importMode": mode, "eTag": made["etag"], "status": "disabled"}
        assert (await hub.registry.bulk([item]))["isSuccessful"]
        after = hub.registry.get_device("d")
        assert (after["status"], after["statusReason"]) == ("disabled", None)
        assert hub.twins.get(Identity("d"))["tags"] == {"kept": True}

    async def test_a_twin_that_cannot_be_written_is_a_warning_on_a_new_device(self, hub: Hub) -> None:
        result = await hub.registry.bulk([{"id": "d", "importMode": "create", "tags": {"a.b": 1}}])
        (warning,) = result["warnings"]
        assert (result["isSuccessful"], result["errors"]) == (True, [])
        assert (warning["deviceId"], warning["warningCode"]) == ("d", "DeviceRegisteredWithoutTwin")
        assert hub.registry.get_device("d")

    async def test_a_device_and_its_module_may_be_in_one_call(self, hub: Hub) -> None:
        items = [{"id": "d"}, {"id": "d", "moduleId": "m"}]
        assert (await hub.registry.bulk(items))["isSuccessful"]


class TestKeyRotation:
    @pytest.mark.parametrize(
        ("policy_key", "kept"),
        [("primary", ["secondaryKey"]), ("secondaryKey", ["primaryKey"]), ("both", [])],
    )
    async def test_the_named_keys_are_new(self, hub: Hub, policy_key: str, kept: list[str]) -> None:
        made = await hub.registry.put_device("d", {}, None)
        before = made["authentication"]["symmetricKey"]
        result = await hub.registry.regenerate_keys({"policyKey": policy_key, "devices": [{"id": "d"}]})
        after = hub.registry.get_device("d")
        assert result == {
            "policyKey": policy_key,
            "rotatedKeys": [{"id": "d", **after["authentication"]["symmetricKey"]}],
            "errors": [],
        }
        assert [name for name, key in after["authentication"]["symmetricKey"].items() if key == before[name]] == kept
        assert after["etag"] != made["etag"]

    async def test_keys_are_swapped(self, hub: Hub) -> None:
        before = (await hub.registry.put_device("d", {}, None))["authentication"]["symmetricKey"]
        await hub.registry.regenerate_keys({"policyKey": "swap", "devices": [{"id": "d"}]})
        after = hub.registry.get_device("d")["authentication"]["symmetricKey"]
        assert after == {"primaryKey": before["secondaryKey"], "secondaryKey": before["primaryKey"]}

    async def test_what_has_no_keys_is_listed_and_the_rest_is_done(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        await hub.registry.put_device("x", {"authentication": {"type": "certificateAuthority"}}, None)
        await hub.registry.put_module(Identity("d", "m"), {}, None)
        devices = [{"id": "nobody"}, {"id": "x"}, {"id": "d", "moduleId": "m"}]
        result = await hub.registry.regenerate_keys({"policyKey": "primaryKey", "devices": devices})
        assert [(error["deviceId"], error["errorCode"]) for error in result["errors"]] == [
            ("nobody", "DeviceNotFound"),
            ("x", "ArgumentInvalid"),
        ]
        assert [key["moduleId"] for key in result["rotatedKeys"]] == ["m"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"policyKey": "master", "devices": []},
            {"policyKey": "primary", "devices": {}},
            {"policyKey": "primary", "devices": ["d"]},
            {"policyKey": "primary", "devices": [{"id": "a b"}]},
            {"policyKey": "primary", "devices": [{"id": "d", "moduleId": 5}]},
        ],
    )
    async def test_a_wrong_call_is_refused(self, hub: Hub, body: dict[str, Any]) -> None:
        with refusal("ArgumentInvalid"):
            await hub.registry.regenerate_keys(body)


class TestModelId:
    async def test_it_is_written_once_and_moves_nothing_else(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        before = hub.twins.get(Identity("d"))
        await hub.twins.announce_model(Identity("d"), "dtmi:example:thing;1")
        assert hub.twins.get(Identity("d")) == {**before, "modelId": "dtmi:example:thing;1"}
        with refusal("DeviceNotFound"):
            await hub.twins.announce_model(Identity("nobody"), "dtmi:x;1")
