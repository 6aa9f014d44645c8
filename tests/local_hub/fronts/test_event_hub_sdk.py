"""azure-iot-device sends, the admin door reads the built-in endpoint; and the commands that configure routing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient

from edgeyard.cli.main import run
from tests.local_hub.http_sessions import http_session

pytestmark = [
    pytest.mark.acceptance,
    # paho-mqtt, inside the SDK, leaves its wake-up sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning"),
]
MODEL = "dtmi:com:example:Thermostat;1"


class Door:
    """The admin door, for what lies under /eventhub and /routing."""

    def __init__(self, session: aiohttp.ClientSession, url: Any) -> None:
        self._session = session
        self._url = url

    async def call(self, verb: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        async with self._session.request(verb, self._url(path), json=body, params=query) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if reply.content_type == "application/json" else text

    async def get(self, path: str, **query: str) -> Any:
        status, answer = await self.call("GET", path, **query)
        assert status == 200, answer
        return answer

    async def events_of(self, device_id: str) -> list[dict[str, Any]]:
        partitions = (await self.get("/eventhub"))["partitions"]
        found = [await self.get(f"/eventhub/partitions/{each['id']}/events", limit="1000") for each in partitions]
        return [event for events in found for event in events if event["deviceId"] == device_id]


@pytest.fixture
async def door(admin_door: Any) -> AsyncIterator[Door]:
    url, headers = admin_door
    async with http_session(headers=headers) as session:
        yield Door(session, url)


@pytest.fixture
async def no_routes(door: Door) -> AsyncIterator[None]:
    yield
    assert (await door.call("PUT", "/routing", {}))[0] == 200


async def send(hub: Any, device: Any, message: Message, **options: Any) -> None:
    client = IoTHubDeviceClient.create_from_connection_string(
        device.connection_string, server_verification_cert=hub.ca_file.read_text(), **options
    )
    await client.connect()
    await client.send_message(message)
    await client.shutdown()


async def test_telemetry_is_read_back_with_all_that_the_sdk_and_the_hub_said(hub: Any, rest: Any, door: Door) -> None:
    device = await rest.device()
    message = Message('{"t":21.5}', message_id="m1", content_type="application/json", content_encoding="utf-8")
    message.custom_properties["room"] = "a b/c"
    await send(hub, device, message, product_info=MODEL)
    (event,) = await door.events_of(device.identity.device_id)
    assert (event["source"], event["body"], event["properties"]) == ("Telemetry", {"t": 21.5}, {"room": "a b/c"})
    system = event["systemProperties"]
    assert (system["messageId"], system["dataSchema"]) == ("m1", MODEL)
    assert json.loads(system["connectionAuthMethod"]) == {
        "scope": "device",
        "type": "sas",
        "issuer": "iothub",
        "acceptingIpFilterRule": None,
    }
    assert system["authGenerationId"].isdigit()
    assert event["offset"] == str(event["sequenceNumber"])


async def test_a_place_in_a_partition_is_read_from_and_waited_at(hub: Any, rest: Any, door: Door) -> None:
    device = await rest.device()
    for text in ("one", "two"):
        await send(hub, device, Message(text))
    first, second = await door.events_of(device.identity.device_id)
    (info,) = [
        each
        for each in (await door.get("/eventhub"))["partitions"]
        if each["lastSequenceNumber"] == second["sequenceNumber"] and each["lastEnqueuedTime"] == second["time"]
    ]
    path = f"/eventhub/partitions/{info['id']}/events"
    assert (await door.get(path, **{"from": f"sequence:{second['sequenceNumber']}"}))[0]["body"] == "two"
    assert (await door.get(path, **{"from": first["time"], "limit": "1"}))[0]["body"] == "one"
    assert await door.get(path, **{"from": "latest", "wait": "0.01"}) == []


@pytest.mark.parametrize(
    ("path", "query", "reason"),
    [
        ("/eventhub/partitions/9/events", {}, "no partition '9'"),
        ("/eventhub/partitions/0/events", {"from": "soon"}, "no position"),
        ("/eventhub/partitions/0/events", {"limit": "many"}, "limit must be a number"),
    ],
)
async def test_what_cannot_be_read_is_named(door: Door, path: str, query: dict[str, str], reason: str) -> None:
    status, text = await door.call("GET", path, **query)
    assert status == 400
    assert reason in text


async def test_routes_are_added_tested_and_removed_by_commands(
    hub: Any, rest: Any, door: Door, no_routes: None, capsys: pytest.CaptureFixture[str], eventually: Any
) -> None:
    device = await rest.device()
    home, log = ["--home", str(hub.home)], hub.home / "hot.ndjson"
    commands = [
        ["hub", "routes", "add", "hot", "--condition", "$body.t > 30", "--to", "log", "--file", str(log), *home],
        ["hub", "routes", "test", "--body", '{"t":31}', "--json", *home],
        ["hub", "routes", "test", "--condition", "as_number(level) <= 2", "--prop", "level=3", *home],
        ["hub", "routes", "list", "-o", "json", *home],
    ]
    outputs = [await in_thread(command, capsys) for command in commands]
    assert "log" in outputs[1].split()
    assert outputs[2] == "false\n"
    settings = json.loads(outputs[3])
    assert [route["name"] for route in settings["routes"]] == ["hot"]
    for body in ('{"t":31}', '{"t":29}'):
        await send(hub, device, Message(body, content_type="application/json", content_encoding="utf-8"))
    assert [event["body"] for event in await door.events_of(device.identity.device_id)] == [{"t": 29}]

    async def written() -> bool:
        return log.exists() and bool(log.read_text())

    await eventually(written)
    assert [json.loads(line)["Body"] for line in log.read_text().splitlines()] == [{"t": 31}]
    await in_thread(["hub", "routes", "remove", "hot", *home], capsys)
    await in_thread(["hub", "routes", "remove", "log", "--endpoint", *home], capsys)
    assert (await door.get("/routing"))["endpoints"] == {}


async def test_a_wrong_condition_is_one_line_and_wrong_use(hub: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["hub", "routes", "add", "r", "--condition", "level <= 2", "--to", "events", "--home", str(hub.home)]
    error = await in_thread(command, capsys, code=2)
    assert error.startswith("error: route r: <= does not take text and number")
    assert error.count("\n") == 1


async def test_consumer_groups_are_added_and_removed_by_commands(
    hub: Any, door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(hub.home)]
    assert "dash" in await in_thread(["hub", "consumer-groups", "add", "dash", *home], capsys)
    assert (await door.get("/eventhub"))["consumerGroups"] == ["$Default", "dash"]
    assert "dash" not in await in_thread(["hub", "consumer-groups", "remove", "DASH", *home], capsys)
    assert "cannot be removed" in await in_thread(
        ["hub", "consumer-groups", "remove", "$Default", *home], capsys, code=2
    )


async def in_thread(command: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command, which runs an event loop of its own, prints; on stderr when it is to fail."""
    assert await asyncio.to_thread(run, command) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out
