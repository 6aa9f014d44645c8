"""The controls of the admin door, each end to end: what real clients see of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient

from edgeyard.admin import AdminDoor
from iot_core.errors import EdgeyardError, InputError
from iot_core.mqtt import SERVER_UNAVAILABLE, Publish
from transport.mqtt_client import ConnectRefused, MqttClient

Call = Callable[..., Any]


class RawDevice:
    """A device on its own MQTT connection."""

    def __init__(self, hub: Any, device: Any) -> None:
        self._hub = hub
        self._device = device
        self.id = device.identity.device_id
        self.received: asyncio.Queue[Publish] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.mqtt = MqttClient(on_message=self.received.put_nowait, on_disconnect=lambda _cause: self.ended.set())

    async def connect(self, expires_in: float = 3600.0) -> RawDevice:
        await self.mqtt.connect(
            self._hub.host,
            8883,
            client_id=self.id,
            username=f"{self._hub.host}/{self.id}/?api-version=2021-04-12",
            password=self._device.token(expires_in),
            ssl=self._hub.tls,
        )
        return self

    def send(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.mqtt.publish(f"devices/{self.id}/messages/events/", b"{}"))

    async def twin_status(self) -> int:
        """What a twin request is answered with; the device must have subscribed."""
        await self.mqtt.publish("$iothub/twin/GET/?$rid=1", b"", qos=0)
        answer = await asyncio.wait_for(self.received.get(), 5)
        return int(answer.topic.split("/")[3])


@pytest.fixture
async def connect() -> AsyncIterator[Call]:
    """Connects a device to a hub."""
    devices = list[RawDevice]()

    async def start(hub: Any, device: Any) -> RawDevice:
        devices.append(RawDevice(hub, device))
        return await devices[-1].connect()

    yield start
    for device in devices:
        await device.mqtt.close()


@pytest.fixture
async def call_of() -> AsyncIterator[Callable[[Any], Any]]:
    """Calls of a hub's admin door; in the end it has no faults any more."""
    async with AsyncExitStack() as stack:
        doors = list[AdminDoor]()

        async def open_door(hub: Any) -> Call:
            doors.append(await stack.enter_async_context(AdminDoor.of(hub.home)))
            return doors[-1].call

        yield open_door
        for door in doors:
            await door.call("DELETE", "/faults")


async def test_advancing_the_clock_wakes_jobs_and_expiry_but_lets_devices_log_in(
    own_hub_with: Any, rest_of: Any, call_of: Any, connect: Call, send_c2d: Any, eventually: Any
) -> None:
    hub = own_hub_with()
    rest, call = rest_of(hub), await call_of(hub)
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}"
    start = datetime.fromtimestamp(time.time() + 3600, tz=UTC).isoformat()
    update = {"etag": "*", "tags": {"late": True}}
    job = {"type": "scheduleUpdateTwin", "queryCondition": "*", "startTime": start, "updateTwin": update}
    assert (await rest.call("PUT", "/jobs/v2/later", {"jobId": "later", **job})).body["status"] == "queued"
    await send_c2d(hub, device, "hello")
    assert (await rest.call("GET", path)).body["cloudToDeviceMessageCount"] == 1

    clock = await call("POST", "/clock", body={"advanceSeconds": 3660})
    assert (clock["offsetSeconds"], clock["tokensOffsetSeconds"]) == (3660, 0)

    async def done() -> Any:
        return (await rest.call("GET", "/jobs/v2/later")).body["status"] == "completed"

    await eventually(done)

    async def gone() -> Any:
        return (await rest.call("GET", path)).body["cloudToDeviceMessageCount"] == 0

    await eventually(gone)
    await (await connect(hub, device)).send()
    clock = await call("DELETE", "/clock")
    assert clock["offsetSeconds"] == 0


async def test_tokens_age_only_when_asked(own_hub_with: Any, rest_of: Any, call_of: Any, connect: Call) -> None:
    hub = own_hub_with()
    call = await call_of(hub)
    device = await connect(hub, await rest_of(hub).device())
    await call("POST", "/clock", body={"advanceSeconds": 7200})
    await device.send()
    await call("POST", "/clock", body={"advanceSeconds": 7200, "tokens": True})
    await asyncio.wait_for(device.ended.wait(), 5)
    with pytest.raises(ConnectRefused):
        await device.connect()
    await device.connect(expires_in=3 * 3600)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "advanceSeconds must say"),
        ({"advanceSeconds": -1}, "only forwards"),
        ({"advanceSeconds": "1h"}, "must be a number"),
        ({"advance": 1}, "'advance' means nothing here"),
        ({"advanceSeconds": 1, "tokens": 1}, "tokens must be true or false"),
    ],
)
async def test_a_bad_request_to_the_clock_is_named(hub: Any, call_of: Any, body: dict[str, Any], says: str) -> None:
    call = await call_of(hub)
    with pytest.raises(InputError, match=says):
        await call("POST", "/clock", body=body)
    assert (await call("GET", "/clock"))["offsetSeconds"] == 0


async def test_dropped_messages_are_never_acknowledged_and_those_after_them_are(
    hub: Any, rest: Any, call_of: Any, connect: Call, trace: Any
) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    await call("POST", "/faults", body={"kind": "drop", "device": device.id})
    lost = device.send()
    await wait_for_line(call, device.id, "lost")
    await call("DELETE", "/faults", {"device": device.id})
    async with trace(device.id) as events:
        await asyncio.wait_for(device.send(), 5)
        await events.source("Telemetry")
    assert not lost.done()
    lost.cancel()


async def wait_for_line(call: Call, device_id: str, result: str) -> dict[str, Any]:
    """The line of the traffic log with that result."""
    while True:
        for line in await call("GET", "/log", {"device": device_id}):
            if line["result"] == result:
                return dict(line)


async def test_the_sdk_waits_while_a_device_is_stalled_and_goes_on_after(hub: Any, rest: Any, call_of: Any) -> None:
    call, registered = await call_of(hub), await rest.device()
    client = IoTHubDeviceClient.create_from_connection_string(
        registered.connection_string, server_verification_cert=hub.ca_file.read_text()
    )
    await client.connect()
    device_id = registered.identity.device_id
    await call("POST", "/faults", body={"kind": "stall", "device": device_id})
    sending = asyncio.create_task(client.send_message(Message("{}")))
    done, _ = await asyncio.wait({sending}, timeout=0.5)
    assert not done
    assert (await call("DELETE", "/faults", {"device": device_id}))["cleared"] == 1
    await asyncio.wait_for(sending, 5)
    await client.shutdown()


async def test_a_delay_holds_answers_back(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    await call("POST", "/faults", body={"kind": "delay", "device": device.id, "delayMs": 300})
    before = time.monotonic()
    await device.send()
    assert time.monotonic() - before >= 0.3
    before = time.monotonic()
    assert (await rest.call("GET", f"/twins/{device.id}")).status == 200
    assert time.monotonic() - before >= 0.3


async def test_refused_log_ins_are_as_with_a_wrong_key(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call, registered = await call_of(hub), await rest.device()
    device_id = registered.identity.device_id
    await call("POST", "/faults", body={"kind": "refuse", "device": device_id})
    with pytest.raises(ConnectRefused) as caught:
        await connect(hub, registered)
    assert caught.value.code == 5
    path = f"/devices/{device_id}/messages/events"
    answer = await rest.call("POST", path, token=registered.token(), data=b"{}")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorized")
    await call("DELETE", "/faults", {"device": device_id})
    await connect(hub, registered)


async def test_throttled_requests_get_429_as_from_azure(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    await device.mqtt.subscribe("$iothub/twin/res/#", qos=0)
    await call("POST", "/faults", body={"kind": "throttle", "device": device.id})
    answer = await rest.call("PATCH", f"/twins/{device.id}", {"tags": {}})
    assert (answer.status, answer.headers["iothub-errorcode"]) == (429, "ThrottlingBacklogTimeout")
    assert answer.headers["Connection"] == "close"
    assert "Retry-After" not in answer.headers
    assert answer.body["Message"] == (
        "ErrorCode:ThrottlingBacklogTimeout;The request has been throttled. Wait 10 seconds and try again. "
        "Operation type: TwinUpdate"
    )
    assert await device.twin_status() == 429
    sending = device.send()
    await asyncio.wait_for(device.ended.wait(), 5)
    sending.cancel()
    with pytest.raises(ConnectRefused) as caught:
        await device.connect()
    assert caught.value.code == SERVER_UNAVAILABLE


async def test_a_throttled_device_fails_in_a_job_and_the_others_do_not(
    own_hub_with: Any, rest_of: Any, call_of: Any, eventually: Any
) -> None:
    hub = own_hub_with()
    rest, call = rest_of(hub), await call_of(hub)
    throttled, other = (await rest.device()).identity.device_id, (await rest.device()).identity.device_id
    await call("POST", "/faults", body={"kind": "throttle", "device": throttled})
    update = {"etag": "*", "tags": {"a": 1}}
    job = {"jobId": "j", "type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": update}
    await rest.call("PUT", "/jobs/v2/j", job)

    async def ended() -> Any:
        body = (await rest.call("GET", "/jobs/v2/j")).body
        return body if body["status"] == "completed" else None

    counts = (await eventually(ended))["deviceJobStatistics"]
    assert (counts["succeededCount"], counts["failedCount"]) == (1, 1)
    rows = (await rest.call("POST", "/devices/query", {"query": "SELECT * FROM devices.jobs"})).body
    errors = {row["deviceId"]: (row.get("error") or {}).get("code") for row in rows}
    assert errors == {throttled: "429003", other: None}


@pytest.mark.parametrize("kind", ["disconnect", "takeover"])
async def test_connections_end_at_once_and_may_come_back(
    hub: Any, rest: Any, call_of: Any, connect: Call, trace: Any, kind: str
) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    async with trace(device.id) as events:
        await call("POST", "/faults", body={"kind": kind, "device": device.id})
        await asyncio.wait_for(device.ended.wait(), 5)
        await events.source("deviceConnectionStateEvents")
    await device.connect()
    await asyncio.wait_for(device.send(), 5)
    assert await call("GET", "/faults") == []


async def test_a_lasting_takeover_ends_each_new_connection(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    await call("POST", "/faults", body={"kind": "takeover", "device": device.id, "forSeconds": 60})
    await asyncio.wait_for(device.ended.wait(), 5)
    device.ended.clear()
    await device.connect()
    await asyncio.wait_for(device.ended.wait(), 5)
    await call("DELETE", "/faults", {"device": device.id})


async def test_a_dropped_request_over_https_ends_without_an_answer(hub: Any, rest: Any, call_of: Any) -> None:
    call, device_id = await call_of(hub), (await rest.device()).identity.device_id
    await call("POST", "/faults", body={"kind": "drop", "device": device_id})
    with pytest.raises(aiohttp.ClientError):
        await rest.call("PATCH", f"/twins/{device_id}", {"tags": {"a": 1}})
    await call("DELETE", "/faults", {"device": device_id})
    assert (await rest.call("GET", f"/twins/{device_id}")).body["tags"] == {}


async def test_an_unanswered_request_over_https_has_had_its_effect(hub: Any, rest: Any, call_of: Any) -> None:
    call, device_id = await call_of(hub), (await rest.device()).identity.device_id
    await call("POST", "/faults", body={"kind": "unanswered", "device": device_id})
    with pytest.raises(aiohttp.ClientError):
        await rest.call("PATCH", f"/twins/{device_id}", {"tags": {"a": 1}})
    await call("DELETE", "/faults", {"device": device_id})
    assert (await rest.call("GET", f"/twins/{device_id}")).body["tags"] == {"a": 1}


async def test_what_the_hub_sends_vanishes_too(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    await device.mqtt.subscribe("$iothub/twin/PATCH/properties/desired/#", qos=0)
    job = f"j{device.id}"
    await call("POST", "/faults", body={"kind": "drop", "device": device.id})
    update = {"etag": "*", "properties": {"desired": {"a": 1}}}
    condition = f"deviceId = '{device.id}'"
    body = {"jobId": job, "type": "scheduleUpdateTwin", "queryCondition": condition, "updateTwin": update}
    await rest.call("PUT", f"/jobs/v2/{job}", body)
    await wait_for_line(call, device.id, "lost")
    await call("DELETE", "/faults", {"device": device.id})
    await rest.call("PATCH", f"/twins/{device.id}", {"properties": {"desired": {"a": 2}}})
    patch = await asyncio.wait_for(device.received.get(), 5)
    assert json.loads(patch.payload) == {"a": 2, "$version": 3}


async def test_the_log_tells_what_came_and_went(hub: Any, rest: Any, call_of: Any, connect: Call) -> None:
    call = await call_of(hub)
    device = await connect(hub, await rest.device())
    for _ in range(5):
        await device.send()
    await rest.call("GET", f"/twins/{device.id}")
    lines = await call("GET", "/log", {"device": device.id})
    told = [(line["door"], line["direction"], line["what"], line["count"], line["result"]) for line in lines]
    assert told == [
        ("HTTPS", "in", f"PUT /devices/{device.id}", 1, "200"),
        ("MQTT", "in", "CONNECT", 1, "accepted"),
        ("MQTT", "in", "telemetry", 5, "taken"),
        ("HTTPS", "in", f"GET /twins/{device.id}", 1, "200"),
    ]
    assert lines[2]["size"] == 10


async def test_a_snapshot_is_restored_under_a_running_hub(
    own_hub_with: Any, rest_of: Any, call_of: Any, connect: Call
) -> None:
    hub = own_hub_with()
    rest, call = rest_of(hub), await call_of(hub)
    registered = await rest.device(tags={})
    device = await connect(hub, registered)
    await rest.call("PATCH", f"/twins/{device.id}", {"tags": {"state": "before"}})
    assert (await call("POST", "/snapshots", body={"name": "one"}))["name"] == "one"
    await rest.call("PATCH", f"/twins/{device.id}", {"tags": {"state": "after"}})
    await call("POST", "/snapshots/restore", body={"name": "one"})
    await asyncio.wait_for(device.ended.wait(), 5)
    assert (await rest.call("GET", f"/twins/{device.id}")).body["tags"] == {"state": "before"}
    await device.connect()
    await asyncio.wait_for(device.send(), 5)
    with pytest.raises(InputError, match="no snapshot 'two'"):
        await call("POST", "/snapshots/restore", body={"name": "two"})
    assert hub.process.poll() is None


async def test_reset_empties_the_hub_and_keeps_its_keys_unless_told(
    own_hub_with: Any, rest_of: Any, call_of: Any
) -> None:
    hub = own_hub_with()
    rest, call, owner = rest_of(hub), await call_of(hub), hub.owner
    await rest.device()
    await call("POST", "/reset")
    assert hub.owner == owner
    assert (await rest.call("GET", "/statistics/devices")).body["totalDeviceCount"] == 0
    authority = hub.ca_file.read_bytes()
    await call("POST", "/reset", body={"keys": True})
    assert hub.owner != owner
    assert hub.ca_file.read_bytes() != authority
    assert (await rest.call("GET", "/statistics/devices")).body["totalDeviceCount"] == 0


async def test_a_seed_is_there_when_the_hub_is_and_again_after_a_reset(
    own_hub_with: Any, rest_of: Any, call_of: Any, tmp_path: Path
) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"devices": [{"deviceId": "d1", "tags": {"site": "north"}}]}))
    hub = own_hub_with("--seed", str(seed))
    rest, call = rest_of(hub), await call_of(hub)
    assert (await rest.call("GET", "/twins/d1")).body["tags"] == {"site": "north"}
    await rest.call("DELETE", "/devices/d1", If_Match="*")
    await call("POST", "/reset")
    assert (await rest.call("GET", "/twins/d1")).status == 200


async def test_like_azure_shapes_throttles_and_lags(own_hub_with: Any, rest_of: Any, call_of: Any) -> None:
    hub = own_hub_with("--like-azure", "S1:1")
    rest, call = rest_of(hub), await call_of(hub)
    device_id = (await rest.device()).identity.device_id
    query = ("POST", "/devices/query", {"query": "SELECT deviceId FROM devices"})
    assert (await rest.call("GET", f"/devices/{device_id}")).status == 200
    assert (await rest.call(*query)).body == []
    await call("POST", "/clock", body={"advanceSeconds": 5})
    assert (await rest.call(*query)).body == [{"deviceId": device_id}]
    answers = [await rest.call(*query) for _ in range(18)]
    assert {answer.status for answer in answers} == {200}
    crowd = [asyncio.create_task(rest.call(*query)) for _ in range(8)]
    await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
    await call("POST", "/clock", body={"advanceSeconds": 10})
    statuses = sorted(answer.status for answer in await asyncio.gather(*crowd))
    assert statuses[0] == 200
    assert statuses[-1] == 429


async def test_the_door_says_what_it_cannot_do(hub: Any, call_of: Any) -> None:
    call = await call_of(hub)
    with pytest.raises(InputError, match=r"'explode' is no fault: use one of drop, unanswered, stall, delay"):
        await call("POST", "/faults", body={"kind": "explode"})
    with pytest.raises(InputError, match="a delay, and no other fault, needs a time"):
        await call("POST", "/faults", body={"kind": "delay", "device": "d"})
    with pytest.raises(EdgeyardError):
        await call("GET", "/log", {"last": "many"})
    assert await call("GET", "/faults") == []
