"""Stacks on a hub in its own process, with agents that report over MQTT as $edgeAgent does."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from hub_tools.manifests import Deployment, Layer
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.preview import Preview
from hub_tools.stacks.state import StackFolder
from hub_tools.stacks.waiting import WaitReport, WaitRules
from iot_core import sas, topics, usernames
from iot_core.identity import Identity, generate_key
from iot_core.mqtt import Publish
from local_hub.home import HubHome
from transport.mqtt_client import MqttClient

EVALUATED_EVERY_S = 300

Report = Callable[[Mapping[str, Any]], tuple[int, str]]


class Recorder:
    """A watcher that agrees to everything and remembers what it was told."""

    def __init__(self, agrees: bool = True) -> None:
        self.answer = agrees
        self.asked: list[str] = []
        self.previews: list[Preview] = []
        self.steps: list[str] = []
        self.reports: list[WaitReport] = []
        self.notes: list[str] = []

    def previewed(self, preview: Preview) -> None:
        self.previews.append(preview)

    async def agrees(self, question: str) -> bool:
        self.asked.append(question)
        return self.answer

    def step(self, text: str) -> None:
        self.steps.append(text)

    def waits(self, report: WaitReport) -> None:
        self.reports.append(report)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Agent:
    """Reports the status of each version of its desired properties, as `report` says; (0, "") reports nothing."""

    def __init__(self, identity: Identity, report: Report) -> None:
        self._identity, self._report = identity, report
        self._client = MqttClient(on_message=self._heard)

    async def connect(self, hub: Any, key: str) -> None:
        host = hub.host
        await self._client.connect(
            host,
            8883,
            client_id=self._identity.path,
            username=usernames.username(host, self._identity),
            password=sas.sign(self._identity.resource(host), key, int(time.time()) + 600),
            ssl=ssl.create_default_context(cafile=str(hub.files.authority)),
        )
        await self._client.subscribe(topics.TWIN_RESPONSES_FILTER, topics.DESIRED_FILTER)
        await self._client.publish(topics.twin_get("get"), b"", 0)

    async def close(self) -> None:
        await self._client.close()

    def _heard(self, message: Publish) -> None:
        heard = topics.parse_hub_topic(message.topic)
        body = json.loads(message.payload) if message.payload else {}
        if isinstance(heard, topics.TwinResponse) and heard.request_id == "get":
            self._say(body["desired"]["$version"], body["desired"])
        elif isinstance(heard, topics.DesiredPatch):
            self._say(heard.version, body)

    def _say(self, version: int, desired: Mapping[str, Any]) -> None:
        code, description = self._report(desired)
        if code:
            status = {"lastDesiredVersion": version, "lastDesiredStatus": {"code": code, "description": description}}
            self._client.publish_nowait(topics.twin_patch_reported("1"), json.dumps(status).encode())


def succeed(desired: Mapping[str, Any]) -> tuple[int, str]:
    return 200, ""


def images_of(desired: Mapping[str, Any]) -> set[str]:
    return {module["settings"]["image"] for module in (desired.get("modules") or {}).values() if module}


async def agent_key(service: RestHubService, device_id: str) -> str:
    """A key for $edgeAgent, given to it as the edge does when it first starts."""
    key = generate_key()
    keys = {"type": "sas", "symmetricKey": {"primaryKey": key, "secondaryKey": key}}
    body = {"deviceId": device_id, "moduleId": "$edgeAgent", "authentication": keys}
    path = f"/devices/{device_id}/modules/$edgeAgent"
    await service.call("PUT", path, body, headers={"If-Match": "*"})
    return key


@pytest.fixture
async def edge_device(service: RestHubService, hub: Any) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Makes edge devices in building B1 until the test ends, with an agent that reports unless `report` is None."""
    made: list[str] = []
    async with AsyncExitStack() as agents:

        async def make(device_id: str, report: Report | None = succeed, **tags: Any) -> None:
            await service.create_device(device_id, edge=True)
            made.append(device_id)
            await service.patch_twin(Identity(device_id), {"tags": {"building": "B1", **tags}})
            if report is not None:
                key = await agent_key(service, device_id)
                agent = Agent(Identity(device_id, "$edgeAgent"), report)
                await agent.connect(hub, key)
                agents.push_async_callback(agent.close)
            await known(service, device_id, connected=report is not None)

        yield make
    for device_id in made:
        await service.delete_device(device_id)
    await rows_are(service, "SELECT deviceId FROM devices", 0)


async def known(service: RestHubService, device_id: str, *, connected: bool) -> None:
    """Return once queries, which lag on a hub that is like Azure's, know the device with its tags and its agent."""
    agent = f"SELECT deviceId FROM devices.modules WHERE deviceId = '{device_id}' AND moduleId = '$edgeAgent'"
    await rows_are(
        service, f"SELECT deviceId FROM devices WHERE deviceId = '{device_id}' AND is_defined(tags.building)"
    )
    await rows_are(service, f"{agent} AND connectionState = 'Connected'" if connected else agent)


async def rows_are(service: RestHubService, text: str, number: int = 1) -> None:
    """Return once a query gives so many rows."""
    while len([row async for row in service.query(text)]) != number:
        await asyncio.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StackFolder]:
    with StackFolder(tmp_path, "fleet", "dev") as folder:
        yield folder


@pytest.fixture
async def empty(service: RestHubService) -> AsyncIterator[None]:
    """No configurations after the test."""
    yield
    for item in await service.list_configurations():
        await service.delete_configuration(item["id"])


@pytest.fixture
def watcher() -> Recorder:
    return Recorder()


Items = Mapping[str, Deployment | Layer]


@pytest.fixture
def applier(service: RestHubService, folder: StackFolder, watcher: Recorder, empty: None) -> Applier:
    return Applier(
        service=service,
        folder=folder,
        stack="fleet",
        environment="dev",
        value_of={"KEY": "s3cret-value"}.__getitem__,
        watcher=watcher,
        wait=WaitRules(timeout_s=20, poll_s=0.02),
        holder="ann@desk",
    )


@pytest.fixture(autouse=True)
def passing_time(hub: Any) -> Iterator[threading.Event]:
    """On a hub that is like Azure's, which looks at its deployments every five minutes, its clock runs that much ahead
    again and again until the event is set; on any other this does nothing.
    """
    over = threading.Event()
    running = threading.Thread(target=_advance, args=(hub.files, over), name="clock", daemon=True)
    if os.environ.get("EDGEYARD_LIKE_AZURE"):
        running.start()
    yield over
    over.set()
    if running.is_alive():
        running.join()


def _advance(files: HubHome, over: threading.Event) -> None:
    running = json.loads(files.running.read_text())
    url = f"http://{running['admin_host']}:{running['admin_port']}/clock"
    headers = {"Authorization": f"Bearer {files.admin_token.read_text().strip()}"}
    while not over.wait(0.5):
        body = json.dumps({"advanceSeconds": EVALUATED_EVERY_S}).encode()
        with urlopen(Request(url, body, headers), timeout=10):
            pass
