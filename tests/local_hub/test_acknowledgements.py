"""No acknowledgement leaves the hub before the commit that holds its effect: a whole hub on a writer that waits."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iot_core import sas
from iot_core.amqp import Properties
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from iot_core.mqtt import Publish
from iot_core.topics import DESIRED_FILTER, TWIN_RESPONSES_FILTER
from local_hub.config import HubConfig
from local_hub.environment import hub_environment
from local_hub.home import HubHome
from local_hub.local_hub import LocalHub
from tests.local_hub.fronts.amqp_bench import connected, is_accepted, text
from tests.local_hub.http_sessions import http_session
from transport.amqp_client import AmqpClient, AmqpSender
from transport.loopback import free_loopback_address
from transport.mqtt_client import MqttClient
from transport.store_writer import Writer


class HeldWriter(Writer):
    """Commits only while it is let."""

    at_commit = threading.Event()
    go_on = threading.Event()

    def commit(self) -> None:
        if not self.go_on.is_set():
            self.at_commit.set()
            assert self.go_on.wait(20)
        super().commit()


@contextmanager
def held() -> Iterator[None]:
    """Nothing is committed inside."""
    HeldWriter.at_commit.clear()
    HeldWriter.go_on.clear()
    try:
        yield
    finally:
        HeldWriter.go_on.set()


@dataclass(kw_only=True)
class Door:
    """Every way into one hub, for one registered device."""

    home: Path
    hub: LocalHub
    http: aiohttp.ClientSession
    device: Identity = field(default_factory=lambda: Identity("held"))
    key: str = ""
    mqtt: MqttClient = field(init=False)
    answers: asyncio.Queue[Publish] = field(default_factory=asyncio.Queue)

    @property
    def host(self) -> str:
        return self.hub.host_name

    @property
    def running(self) -> dict[str, int]:
        return {"amqp_port": self.hub.amqp_port}

    @property
    def owner(self) -> ConnectionString:
        return ConnectionString.parse(hub_environment(self.home)["IOTHUB_CONNECTION_STRING"])

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(HubHome(self.home).authority))

    async def prepare(self) -> None:
        made = await self.rest("PUT", "/devices/held", {"deviceId": "held"})
        self.key = made["authentication"]["symmetricKey"]["primaryKey"]
        self.mqtt = await self.connected("held")
        await self.mqtt.subscribe(TWIN_RESPONSES_FILTER)

    async def connected(self, device_id: str) -> MqttClient:
        client = MqttClient(on_message=self.answers.put_nowait)
        await client.connect(
            self.hub.host_name,
            self.hub.mqtt_port,
            client_id=device_id,
            username=f"{self.hub.host_name}/{device_id}/?api-version=2021-04-12",
            password=self.token(),
            ssl=self.tls,
        )
        return client

    def token(self) -> str:
        return sas.sign(self.device.resource(self.hub.host_name), self.key, int(time.time()) + 600)

    async def rest(self, verb: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Any:
        """The body of a 2xx answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["Authorization"] = token or sas.token_for(self.owner, time.time())
        url = f"https://{self.hub.host_name}:{self.hub.http_port}{path}?api-version=2021-04-12"
        async with self.http.request(verb, url, json=body, headers=sent, ssl=self.tls) as reply:
            text = await reply.text()
            assert reply.status < 300, text
            return json.loads(text) if text else None

    async def admin(self, path: str, body: Any) -> None:
        token = HubHome(self.home).admin_token.read_text()
        url = f"http://{self.hub.host_name}:{self.hub.admin_port}{path}"
        async with self.http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) as reply:
            assert reply.status == 201, await reply.text()

    async def twin_answer(self, topic: str, payload: bytes = b"") -> str:
        """The topic of the hub's answer to a twin request. QoS 0: a PUBACK would tell nothing of the answer."""
        await self.mqtt.publish(topic, payload, qos=0)
        return (await self.answers.get()).topic

    async def has_seen_all(self) -> None:
        """Round trips through both doors, which need no commit: what was sent before them has been taken up."""
        for _ in range(3):
            await self.rest("GET", "/twins/held")
            assert "/res/200/" in await self.twin_answer("$iothub/twin/GET/?$rid=seen")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    HeldWriter.go_on.set()
    host = free_loopback_address([8883])
    config = HubConfig(home=tmp_path, host=host, mqtt_port=0, http_port=0, amqp_port=0)
    hub = LocalHub(config, writer=HeldWriter)
    await hub.start()
    async with http_session() as http:
        opened = Door(home=tmp_path, hub=hub, http=http)
        await opened.prepare()
        yield opened
        await opened.mqtt.close()
    await hub.stop()


async def telemetry(door: Door) -> None:
    await door.mqtt.publish("devices/held/messages/events/", b"{}")


async def reported_puback(door: Door) -> None:
    await door.mqtt.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", b'{"a": 1}')


async def subscription(door: Door) -> None:
    assert await door.mqtt.subscribe(DESIRED_FILTER) == (1,)


async def telemetry_over_https(door: Door) -> None:
    await door.rest("POST", "/devices/held/messages/events", {"t": 1}, token=door.token())


async def new_device(door: Door) -> None:
    await door.rest("PUT", "/devices/other", {"deviceId": "other"})


async def new_module(door: Door) -> None:
    await door.rest("PUT", "/devices/held/modules/m", {"deviceId": "held", "moduleId": "m"})


async def device_gone(door: Door) -> None:
    await door.rest("DELETE", "/devices/held", If_Match="*")


async def bulk(door: Door) -> None:
    await door.rest("POST", "/devices", [{"id": "other", "importMode": "create"}])


async def patched_twin(door: Door) -> None:
    await door.rest("PATCH", "/twins/held", {"tags": {"a": 1}})


async def replaced_twin(door: Door) -> None:
    await door.rest("PUT", "/twins/held", {"tags": {"a": 1}})


async def job(door: Door) -> None:
    update = {"etag": "*", "tags": {"a": 1}}
    await door.rest("PUT", "/jobs/v2/j", {"type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": update})


async def configuration(door: Door) -> None:
    content = {"deviceContent": {"properties.desired.a": {"b": 1}}}
    await door.rest("PUT", "/configurations/c", {"id": "c", "content": content, "targetCondition": "*"})


async def cloud_to_device(door: Door) -> None:
    await door.admin("/c2d", {"deviceId": "held", "body": "x"})


async def purge(door: Door) -> None:
    await door.rest("DELETE", "/devices/held/commands")


ACKNOWLEDGED = [
    telemetry,
    reported_puback,
    subscription,
    telemetry_over_https,
    new_device,
    new_module,
    device_gone,
    bulk,
    patched_twin,
    replaced_twin,
    job,
    configuration,
    cloud_to_device,
    purge,
]


@pytest.mark.parametrize("work", ACKNOWLEDGED, ids=lambda work: work.__name__)
async def test_the_acknowledgement_leaves_after_the_commit(door: Door, work: Callable[[Door], Awaitable[None]]) -> None:
    with held():
        asked = asyncio.ensure_future(work(door))
        await asyncio.to_thread(HeldWriter.at_commit.wait, 10)
        await door.has_seen_all()
        assert not asked.done()
    await asyncio.wait_for(asked, 10)


async def test_the_answer_to_a_reported_patch_leaves_after_the_commit(door: Door) -> None:
    with held():
        topic = "$iothub/twin/PATCH/properties/reported/?$rid=1"
        await door.mqtt.publish(topic, b'{"a": 1}', qos=0)
        await asyncio.to_thread(HeldWriter.at_commit.wait, 10)
        await door.has_seen_all()
        assert door.answers.empty()
    assert (await asyncio.wait_for(door.answers.get(), 10)).topic == "$iothub/twin/res/204/?$rid=1&$version=2"


async def device_to_cloud_sender(door: Door, client: AmqpClient) -> AmqpSender:
    """Of a device of its own: one identity has one connection."""
    made = await door.rest("PUT", "/devices/sender", {"deviceId": "sender"})
    resource, key = Identity("sender").resource(door.host), made["authentication"]["symmetricKey"]["primaryKey"]
    await client.put_token(resource, sas.sign(resource, key, int(time.time()) + 600))
    return await client.sender("/devices/sender/messages/events")


async def cloud_to_device_sender(door: Door, client: AmqpClient) -> AmqpSender:
    await client.put_token(f"https://{door.host}", sas.token_for(door.owner, time.time()))
    return await client.sender("/messages/devicebound")


@pytest.mark.parametrize("open_sender", [device_to_cloud_sender, cloud_to_device_sender])
async def test_accepted_leaves_after_the_commit(
    door: Door, open_sender: Callable[[Door, AmqpClient], Awaitable[AmqpSender]]
) -> None:
    async with await connected(door) as client:
        sender = await open_sender(door, client)
        with held():
            properties = Properties(to="/devices/held/messages/devicebound")
            asked = asyncio.ensure_future(sender.send(text("x", properties=properties)))
            await asyncio.to_thread(HeldWriter.at_commit.wait, 10)
            await door.has_seen_all()
            await client.put_token(f"https://{door.host}", sas.token_for(door.owner, time.time()))
            assert not asked.done()
        assert is_accepted(await asyncio.wait_for(asked, 10))


async def test_everything_at_once_waits_for_the_one_commit(door: Door) -> None:
    with held():
        works = [telemetry, reported_puback, telemetry_over_https, new_device, patched_twin, job, cloud_to_device]
        asked = [asyncio.ensure_future(work(door)) for work in works]
        await asyncio.to_thread(HeldWriter.at_commit.wait, 10)
        await door.has_seen_all()
        assert not any(one.done() for one in asked)
    await asyncio.wait_for(asyncio.gather(*asked), 10)
