"""Routing in a whole hub: telemetry, events of the hub itself in the transaction they tell of, settings that change."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iot_core.clock import iso
from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Permission, Principal
from local_hub.eventhub import EARLIEST, LATEST, HubMessage
from local_hub.eventhub.partitions import partition_of
from local_hub.hub import Hub
from local_hub.routing import RoutingSettingsError

D1 = Identity("d1")
WHO = Principal(
    name="d1", rights=Permission.DEVICE_CONNECT, expires_at=0.0, identity=D1, generation_id="7", auth_method="{}"
)
EVERYTHING = {
    "routes": [
        {"name": f"r{number}", "source": source, "endpointNames": ["events"]}
        for number, source in enumerate(("TwinChangeEvents", "DeviceLifecycleEvents", "DeviceConnectionStateEvents"))
    ]
}
DIGITAL = {"name": "digital", "source": "DigitalTwinChangeEvents", "endpointNames": ["events"]}
Wait = Callable[[Callable[[], object]], Awaitable[None]]


def stored(hub: Hub) -> list[HubMessage]:
    readers = [hub.event_hub.open(partition_id, EARLIEST) for partition_id in hub.event_hub.partition_ids]
    return [event.message for reader in readers for event in reader.read_now(1000)]


def seen(message: HubMessage) -> tuple[str, str | None]:
    return message.source, message.properties.get("opType")


async def send(hub: Hub, body: bytes = b"{}", **properties: str) -> None:
    system = {"contentType": "application/json", "contentEncoding": "utf-8"}
    await hub.messaging.telemetry(D1, Message(body, dict(properties), system), WHO)


@pytest.fixture
async def listening(hub: Hub) -> Hub:
    """A hub with a device d1, whose own events go to the built-in endpoint from now on."""
    await hub.registry.put_device("d1", {}, None)
    await hub.routing.replace(EVERYTHING)
    return hub


class TestHubEvents:
    async def test_none_is_kept_unless_a_route_asks(self, hub: Hub, connect: Any) -> None:
        await hub.registry.put_device("d1", {}, None)
        await hub.twins.patch(D1, {"tags": {"a": 1}}, None)
        connect("d1")
        assert stored(hub) == []

    async def test_a_twin_update(self, listening: Hub) -> None:
        await listening.twins.patch(D1, {"tags": {"site": "n"}, "properties": {"desired": {"a": 1}}}, None)
        (message,) = stored(listening)
        assert message.properties == {
            "hubName": "local",
            "deviceId": "d1",
            "opType": "updateTwin",
            "operationTimestamp": iso(listening.clock.now()),
            "iothub-message-schema": "twinChangeNotification",
        }
        system = message.message.system
        assert (system["contentType"], system["contentEncoding"]) == ("application/json", "utf-8")
        assert (system["userId"], system["connectionDeviceId"]) == ("local", "d1")
        assert re.fullmatch("[0-9a-f]+", system["correlationId"])
        body = json.loads(message.body)
        assert (body["version"], body["tags"]) == (3, {"site": "n"})
        assert body["properties"]["desired"]["a"] == 1
        assert body["properties"]["desired"]["$version"] == 2
        assert "reported" not in body["properties"]

    async def test_a_twin_that_is_replaced_or_reported(self, listening: Hub) -> None:
        await listening.twins.replace(D1, {"tags": {"x": 1}}, None)
        await listening.twins.patch_reported(D1, {"b": 2}, None)
        replaced, reported = stored(listening)
        assert seen(replaced) == ("twinChangeEvents", "replaceTwin")
        assert json.loads(replaced.body).keys() >= {"deviceId", "etag", "version", "tags", "properties"}
        assert json.loads(reported.body)["properties"]["reported"]["b"] == 2

    async def test_a_digital_twin_update(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        await hub.routing.replace({"routes": [DIGITAL]})
        patch = [{"op": "add", "path": "/thermostat1/target", "value": 21.8}]
        await hub.digital_twins.patch(D1, patch, None)
        ack = {"value": 21.8, "ac": 200, "av": 2}
        await hub.twins.patch_reported(D1, {"thermostat1": {"__t": "c", "target": ack}}, None)
        await hub.twins.patch(D1, {"tags": {"no": "part of it"}}, None)
        desired, reported = stored(hub)
        wanted = {"desiredValue": 21.8, "desiredVersion": 2}
        assert seen(desired) == ("digitalTwinChangeEvents", "updateDigitalTwin")
        assert desired.message.system["contentType"] == "application/json-patch+json"
        assert json.loads(desired.body) == [
            {"op": "add", "path": "/thermostat1", "value": {"$metadata": {"target": wanted}}}
        ]
        known = "/thermostat1/$metadata/target"
        assert json.loads(reported.body) == [
            {"op": "add", "path": "/thermostat1/target", "value": 21.8},
            {"op": "add", "path": f"{known}/ackVersion", "value": 2},
            {"op": "add", "path": f"{known}/ackCode", "value": 200},
            {"op": "add", "path": f"{known}/lastUpdateTime", "value": iso(hub.clock.now())},
        ]

    async def test_identities_that_come_and_go_modules_too(self, listening: Hub) -> None:
        await listening.registry.put_module(Identity("d1", "m"), {}, None)
        await listening.registry.delete_device("d1", "*")
        messages = stored(listening)
        assert seen(messages[0]) == ("deviceLifecycleEvents", "createDeviceIdentity")
        assert messages[0].properties["moduleId"] == "m"
        gone = [message.identity for message in messages[1:]]
        assert {seen(message)[1] for message in messages[1:]} == {"deleteDeviceIdentity"}
        assert sorted(map(str, gone)) == ["d1", "d1/m"]

    async def test_connections_have_growing_sequence_numbers_of_64_digits(
        self, listening: Hub, connect: Any, becomes_true: Wait
    ) -> None:
        link = connect("d1")
        listening.sessions.detach(D1, link)
        await becomes_true(lambda: len(stored(listening)) == 2)
        came, went = stored(listening)
        assert [seen(came)[1], seen(went)[1]] == ["deviceConnected", "deviceDisconnected"]
        numbers = [json.loads(message.body)["sequenceNumber"] for message in (came, went)]
        assert [len(number) for number in numbers] == [64, 64]
        assert int(numbers[0], 16) < int(numbers[1], 16)

    async def test_a_write_that_is_refused_leaves_no_event(self, listening: Hub) -> None:
        with pytest.raises(HubError):
            await listening.twins.patch(D1, {"tags": {"a.b": 1}}, None)
        assert stored(listening) == []

    async def test_a_condition_sees_the_event_and_the_twin_as_it_is_now(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        condition = "opType = 'updateTwin' AND $body.tags.site = 'n' AND $twin.tags.site = 'n'"
        route = {"name": "r", "source": "TwinChangeEvents", "condition": condition, "endpointNames": ["events"]}
        await hub.routing.replace({"routes": [route]})
        await hub.twins.patch(D1, {"tags": {"site": "s"}}, None)
        await hub.twins.patch(D1, {"tags": {"site": "n"}}, None)
        assert [json.loads(message.body)["tags"] for message in stored(hub)] == [{"site": "n"}]

    async def test_a_waiting_reader_hears_of_it(self, listening: Hub) -> None:
        partition = str(partition_of("d1", len(listening.event_hub.partition_ids)))
        reader = listening.event_hub.open(partition, LATEST)
        await listening.twins.patch(D1, {"tags": {"a": 2}}, None)
        assert [seen(event.message)[1] for event in await reader.read(5)] == ["updateTwin"]


class TestTelemetry:
    async def test_a_message_for_several_endpoints_is_on_disk_for_all(
        self, hub: Hub, tmp_path: Path, becomes_true: Wait
    ) -> None:
        routes = [{"name": "r", "source": "DeviceMessages", "endpointNames": ["log", "events"]}]
        files = {"files": [{"name": "log", "path": "log.ndjson"}]}
        await hub.routing.replace({"endpoints": files, "routes": routes})
        await send(hub, b'{"t":1}', a="b")
        assert [message.body for message in stored(hub)] == [b'{"t":1}']
        path = tmp_path / "hub" / "log.ndjson"
        await becomes_true(lambda: path.exists() and path.read_text())
        assert json.loads(path.read_text()) == {
            "EnqueuedTimeUtc": "2026-01-01T00:00:00.0000000Z",
            "Properties": {"a": "b"},
            "SystemProperties": {
                "contentType": "application/json",
                "contentEncoding": "utf-8",
                "connectionDeviceId": "d1",
                "connectionDeviceGenerationId": "7",
                "connectionAuthMethod": "{}",
                "enqueuedTime": "2026-01-01T00:00:00.0000000Z",
                "iothub-message-source": "Telemetry",
            },
            "Body": {"t": 1},
        }

    async def test_a_message_that_goes_nowhere_is_taken_all_the_same(self, hub: Hub) -> None:
        await hub.routing.replace({"fallbackRoute": {"isEnabled": False}})
        listener = hub.events.subscribe()
        await send(hub)
        assert stored(hub) == []
        assert (await anext(listener))["source"] == "Telemetry"

    async def test_a_module_is_judged_by_its_own_twin(self, hub: Hub) -> None:
        await hub.registry.put_device("d1", {}, None)
        await hub.registry.put_module(Identity("d1", "m"), {}, None)
        await hub.twins.patch(Identity("d1", "m"), {"tags": {"kind": "module"}}, None)
        enrichment = {"key": "kind", "value": "$twin.tags.kind", "endpointNames": ["events"]}
        await hub.routing.replace({"enrichments": [enrichment]})
        await send(hub)
        await hub.messaging.telemetry(Identity("d1", "m"), Message(b""), WHO)
        assert [message.properties["kind"] for message in stored(hub)] == ["$twin.tags.kind", "module"]


class TestSettings:
    async def test_they_survive_a_restart(self, open_hub: Callable[[], Awaitable[Hub]]) -> None:
        hub = await open_hub()
        await hub.routing.replace(EVERYTHING)
        settings = hub.routing.settings
        await hub.stop()
        await hub.store.close()
        hub = await open_hub()
        assert hub.routing.settings == settings
        await hub.stop()
        await hub.store.close()

    async def test_wrong_ones_change_nothing(self, hub: Hub) -> None:
        await hub.routing.replace(EVERYTHING)
        before = hub.routing.settings
        with pytest.raises(RoutingSettingsError):
            await hub.routing.replace({"routes": [{}]})
        assert hub.routing.settings == before

    @pytest.mark.parametrize("text", ["{", '{"routes": 1}'])
    async def test_a_hub_does_not_start_on_a_file_it_cannot_use(
        self, open_hub: Callable[[], Awaitable[Hub]], tmp_path: Path, text: str
    ) -> None:
        (tmp_path / "hub").mkdir()
        (tmp_path / "hub" / "routing.json").write_text(text)
        with pytest.raises(RoutingSettingsError, match=r"routing\.json"):
            await open_hub()

    async def test_an_endpoint_that_is_removed_loses_what_waits_for_it(self, hub: Hub) -> None:
        endpoints = {"webhooks": [{"name": "hook", "url": "http://127.0.0.1:1/nobody"}]}
        routes = [{"name": "r", "source": "DeviceMessages", "endpointNames": ["hook"]}]
        await hub.routing.replace({"endpoints": endpoints, "routes": routes})
        await send(hub)
        assert hub.routing.endpoint_states()["hook"]["waiting"] == 1
        await hub.routing.replace({})
        await hub.routing.replace({"endpoints": endpoints, "routes": routes})
        assert hub.routing.endpoint_states()["hook"]["waiting"] == 0

    async def test_an_endpoint_that_moves_keeps_what_waits_for_it(
        self, hub: Hub, tmp_path: Path, becomes_true: Wait
    ) -> None:
        routes = [{"name": "r", "source": "DeviceMessages", "endpointNames": ["out"]}]
        webhooks = {"webhooks": [{"name": "out", "url": "http://127.0.0.1:1/nobody"}]}
        await hub.routing.replace({"endpoints": webhooks, "routes": routes})
        await send(hub, b'"kept"')
        await hub.routing.replace({"endpoints": {"files": [{"name": "out", "path": "out.ndjson"}]}, "routes": routes})
        path = tmp_path / "hub" / "out.ndjson"
        await becomes_true(lambda: path.exists() and path.read_text())
        assert json.loads(path.read_text())["Body"] == "kept"
