"""Load on a hub that remembers what was acknowledged, so that it can be asked for after the hub was killed.

Every kind of request is numbered; a number is acknowledged when its PUBACK, 204 or HTTP 2xx has arrived. A worker goes
on until the hub is gone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from hub_tools.rest import RestHubService
from hub_tools.service import HubUnreachableError
from iot_core import sas
from iot_core.identity import Identity
from iot_core.mqtt import Publish
from iot_core.topics import TWIN_RESPONSES_FILTER
from local_hub.home import HubHome
from tests.acceptance.support import RunningHub
from transport.mqtt_client import ConnectionLost, MqttClient

CONNECTED, ABSENT = ("busy-1", "busy-2"), "absent"
"""Devices that connect in every round, and one that never does before the end."""
PIPELINE = 20
"""Telemetry messages of one device that wait for their PUBACK."""
SLOTS = 20
"""Property names that one writer takes in turn, so that twins stay small and each write is found for a while."""
ABSENT_PER_ROUND = 4
"""Messages to the absent device: its queue holds 50."""
GONE = (ConnectionLost, HubUnreachableError, aiohttp.ClientError)
"""How a killed hub looks from here."""


@dataclass
class Numbers:
    """What was asked for, and what of it was acknowledged."""

    asked: int = 0
    acknowledged: list[int] = field(default_factory=list)

    def take(self) -> int:
        self.asked += 1
        return self.asked

    def newest_in_slots(self) -> dict[str, int]:
        """The last acknowledged number of each slot."""
        return {slot(number): number for number in sorted(self.acknowledged)}


@contextmanager
def lost_when_cancelled() -> Iterator[None]:
    """An answer that can no longer come."""
    try:
        yield
    except asyncio.CancelledError as error:
        raise ConnectionLost("the hub is gone") from error


def slot(number: int) -> str:
    return f"s{number % SLOTS}"


@dataclass
class DeviceRecord:
    """What one device was promised over all rounds."""

    device_id: str
    key: str
    telemetry: Numbers = field(default_factory=Numbers)
    reported: Numbers = field(default_factory=Numbers)
    desired: Numbers = field(default_factory=Numbers)
    c2d: Numbers = field(default_factory=Numbers)
    received: list[int] = field(default_factory=list)
    connections: list[range] = field(default_factory=list)
    """Telemetry numbers sent over each connection."""


@dataclass
class Record:
    """Everything promised over all rounds."""

    devices: dict[str, DeviceRecord]
    jobs: Numbers = field(default_factory=Numbers)
    created: Numbers = field(default_factory=Numbers)


class Device:
    """A device's MQTT connection; answers of the twin and C2D messages are told apart here."""

    def __init__(self, record: DeviceRecord) -> None:
        self.record = record
        self.mqtt = MqttClient(on_message=self._take, on_disconnect=self._lost)
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._came = asyncio.Event()
        self._gone = False
        self._first = record.telemetry.asked + 1

    async def connect(self, hub: RunningHub) -> None:
        device_id, port = self.record.device_id, 8883
        token = sas.sign(Identity(device_id).resource(hub.host), self.record.key, int(time.time()) + 3600)
        await self.mqtt.connect(
            hub.host,
            port,
            client_id=device_id,
            username=f"{hub.host}/{device_id}/?api-version=2021-04-12",
            password=token,
            ssl=ssl.create_default_context(cafile=str(HubHome(hub.home).authority)),
        )
        await self.mqtt.subscribe(TWIN_RESPONSES_FILTER, f"devices/{device_id}/messages/devicebound/#")

    async def close(self) -> None:
        self.record.connections.append(range(self._first, self.record.telemetry.asked + 1))
        await self.mqtt.close()

    async def send_telemetry(self) -> None:
        topic = f"devices/{self.record.device_id}/messages/events/"
        while True:
            number = self.record.telemetry.take()
            await self.mqtt.publish_nowait(topic, b"%d" % number)
            self.record.telemetry.acknowledged.append(number)

    async def report(self) -> None:
        while True:
            number = self.record.reported.take()
            answer = self._answers[str(number)] = asyncio.get_running_loop().create_future()
            patch = json.dumps({slot(number): number}).encode()
            await self.mqtt.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={number}", patch)
            with lost_when_cancelled():
                await answer
            self.record.reported.acknowledged.append(number)

    async def has_received(self, numbers: set[int]) -> None:
        """Wait until these C2D messages have come; ConnectionLost when they cannot any more."""
        while not numbers <= set(self.record.received):
            if self._gone:
                raise ConnectionLost("the hub is gone")
            self._came.clear()
            await self._came.wait()

    def _take(self, message: Publish) -> None:
        if message.topic.startswith("$iothub/twin/res/"):
            status, _, rest = message.topic.removeprefix("$iothub/twin/res/").partition("/?$rid=")
            assert status == "204", message
            self._answers.pop(rest.partition("&")[0]).set_result(None)
        else:
            self.record.received.append(int(message.payload))
            self._came.set()

    def _lost(self, _cause: Exception | None) -> None:
        self._gone = True
        self._came.set()
        for answer in self._answers.values():
            answer.cancel()


class Load:
    """One round of load, until the hub is gone."""

    def __init__(self, hub: RunningHub, record: Record, service: RestHubService, http: aiohttp.ClientSession) -> None:
        self._hub = hub
        self._record = record
        self._service = service
        self._http = http
        self.connections = {name: Device(record.devices[name]) for name in CONNECTED}

    async def run(self) -> list[BaseException]:
        """Everything at once; gives the errors with which the workers ended."""
        async with AsyncExitStack() as stack:
            for device in self.connections.values():
                await device.connect(self._hub)
                stack.push_async_callback(device.close)
            ends = await asyncio.gather(*self._workers(), return_exceptions=True)
        return [end for end in ends if end is not None]

    def _workers(self) -> list[Coroutine[Any, Any, None]]:
        devices = list(self.connections.values())
        return [
            *(device.send_telemetry() for device in devices for _ in range(PIPELINE)),
            *(device.report() for device in devices),
            *(self._write_desired(device.record) for device in devices),
            *(self._send_c2d(device) for device in devices for _ in range(3)),
            self._send_to_absent(),
            self._run_jobs(),
            self._create_devices(),
        ]

    async def _write_desired(self, record: DeviceRecord) -> None:
        while True:
            number = record.desired.take()
            patch = {"properties": {"desired": {slot(number): number}}}
            await self._service.patch_twin(Identity(record.device_id), patch)
            record.desired.acknowledged.append(number)

    async def _send_c2d(self, device: Device) -> None:
        while True:
            number = await self._post_c2d(device.record)
            await device.has_received({number})

    async def _send_to_absent(self) -> None:
        for _ in range(ABSENT_PER_ROUND):
            await self._post_c2d(self._record.devices[ABSENT])

    async def _post_c2d(self, record: DeviceRecord) -> int:
        number = record.c2d.take()
        await post_c2d(self._hub, self._http, record.device_id, str(number))
        record.c2d.acknowledged.append(number)
        return number

    async def _run_jobs(self) -> None:
        """One job after another, each watched until it has ended."""
        jobs = self._record.jobs
        while True:
            number = jobs.take()
            await self._service.create_job(job_id(number), job_body(number))
            jobs.acknowledged.append(number)
            while (await self._service.get_job(job_id(number)))["status"] != "completed":
                pass

    async def _create_devices(self) -> None:
        while True:
            number = self._record.created.take()
            await self._service.create_device(created_id(number))
            self._record.created.acknowledged.append(number)


def job_id(number: int) -> str:
    return f"job-{number}"


def created_id(number: int) -> str:
    return f"made-{number}"


def job_body(number: int) -> dict[str, Any]:
    devices = ", ".join(f"'{name}'" for name in CONNECTED)
    return {
        "type": "scheduleUpdateTwin",
        "queryCondition": f"deviceId IN [{devices}]",
        "updateTwin": {"etag": "*", "tags": {slot(number): number}},
        "maxExecutionTimeInSeconds": 300,
    }


def admin_door(hub: RunningHub) -> tuple[str, dict[str, str]]:
    """The address of the admin door, and the header that opens it."""
    files = HubHome(hub.home)
    running = json.loads(files.running.read_text())
    token = files.admin_token.read_text()
    return f"http://{running['admin_host']}:{running['admin_port']}", {"Authorization": f"Bearer {token}"}


async def post_c2d(hub: RunningHub, http: aiohttp.ClientSession, device_id: str, body: str) -> None:
    """Send a C2D message by the admin door."""
    url, headers = admin_door(hub)
    async with http.post(f"{url}/c2d", json={"deviceId": device_id, "body": body}, headers=headers) as reply:
        assert reply.status == 201, await reply.text()


async def stored_telemetry(hub: RunningHub, http: aiohttp.ClientSession) -> dict[str, list[int]]:
    """The telemetry of every device in the order of its partition, read by the admin door."""
    url, headers = admin_door(hub)
    async with http.get(f"{url}/eventhub", headers=headers) as reply:
        partitions = [partition["id"] for partition in (await reply.json())["partitions"]]
    found: dict[str, list[int]] = {}
    for partition in partitions:
        next_number = 0
        while True:
            query = {"from": f"sequence:{next_number}", "limit": "1000"}
            async with http.get(f"{url}/eventhub/partitions/{partition}/events", params=query, headers=headers) as page:
                events = await page.json()
            if not events:
                break
            next_number = events[-1]["sequenceNumber"] + 1
            for event in events:
                if event["source"] == "Telemetry":
                    found.setdefault(event["deviceId"], []).append(int(event["body"]))
    return found


async def register(service: RestHubService) -> Record:
    """The devices of the load, made in the hub."""
    records = {}
    for device_id in itertools.chain(CONNECTED, [ABSENT]):
        device = await service.create_device(device_id)
        key = device["authentication"]["symmetricKey"]["primaryKey"]
        records[device_id] = DeviceRecord(device_id=device_id, key=key)
    return Record(devices=records)
