"""A whole core on a real store and a clock that stands still, and links that write down what they are given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.auth.authenticator import Principal
from local_hub.auth.permissions import Permission
from local_hub.config import HubConfig
from local_hub.fronts.amqp import AmqpFront
from local_hub.hub import Hub
from local_hub.sessions import LinkClosedError
from transport.amqp_client import AmqpClient
from transport.store import Store

NEW_YEAR_2026 = 1_767_225_600.0


class FakeLink:
    """A connected device; ``answer`` is what it does with a method."""

    def __init__(self) -> None:
        self.pushed: list[dict[str, Any]] = []
        self.called: list[tuple[str, bytes]] = []
        self.closed: list[str] = []
        self.reached = asyncio.Event()
        self.accepts_methods = True
        self.answer: Callable[[str, bytes], Awaitable[tuple[int, bytes]]] = self.ok

    def push_desired(self, patch: dict[str, Any]) -> None:
        self.pushed.append(patch)

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        self.called.append((name, payload))
        self.reached.set()
        return await self.answer(name, payload)

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    async def ok(self, _name: str, _payload: bytes) -> tuple[int, bytes]:
        return 200, b'{"ok":true}'

    async def silent(self, _name: str, _payload: bytes) -> tuple[int, bytes]:
        await asyncio.Event().wait()
        raise AssertionError

    async def gone(self, _name: str, _payload: bytes) -> tuple[int, bytes]:
        raise LinkClosedError("gone")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NEW_YEAR_2026)


@pytest.fixture
def open_hub(tmp_path: Path, clock: ManualClock) -> Callable[..., Awaitable[Hub]]:
    """Starts a hub on the test's folder, with options of HubConfig; starting again there is a restart."""

    async def start(**options: Any) -> Hub:
        store = Store.open(tmp_path / "hub.db", schema=Hub.schema())
        hub = Hub(store, clock, HubConfig(home=tmp_path, **options))
        try:
            await hub.start()
        except BaseException:
            await store.close()
            raise
        return hub

    return start


@pytest.fixture
async def hub(open_hub: Callable[[], Awaitable[Hub]]) -> AsyncIterator[Hub]:
    started = await open_hub()
    yield started
    await started.stop()
    await started.store.close()


@pytest.fixture
def connect(hub: Hub) -> Callable[..., FakeLink]:
    """Connects a device or module and gives its link."""

    def attach(device_id: str, module_id: str | None = None) -> FakeLink:
        link = FakeLink()
        hub.sessions.attach(Identity(device_id, module_id), link)
        return link

    return attach


@pytest.fixture
def becomes_true() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Asks a condition again and again until it holds; ten seconds at most."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    return wait


class AmqpDoor:
    """The AMQP front in this process, without TLS, so that tests hold its clock."""

    def __init__(self, hub: Hub, address: tuple[str, int]) -> None:
        self.hub = hub
        self._address = address
        self.opened: list[AmqpClient] = []

    async def connect(self) -> AmqpClient:
        """A connection that may do nothing yet."""
        self.opened.append(await AmqpClient.connect(*self._address, None))
        return self.opened[-1]

    async def device(self, device_id: str) -> AmqpClient:
        """A connection with the token of a device, which is registered if it is not there."""
        try:
            found = self.hub.registry.get_device(device_id)
        except HubError:
            found = await self.hub.registry.put_device(device_id, {}, None)
        resource = f"127.0.0.1/devices/{device_id}"
        key = found["authentication"]["symmetricKey"]["primaryKey"]
        client = await self.connect()
        await client.put_token(resource, sas.sign(resource, key, self.expiry()))
        return client

    async def service(self) -> AmqpClient:
        """A connection with the token of the policy service."""
        client = await self.connect()
        await client.put_token(SERVICE_AUDIENCE, self.service_token(self.expiry()))
        return client

    def identity(self, device_id: str) -> Identity:
        return Identity(device_id)

    def principal(self, device_id: str) -> Principal:
        """Who sends as a device."""
        return Principal(name=device_id, rights=Permission.DEVICE_CONNECT, expires_at=0.0, identity=Identity(device_id))

    def service_token(self, expiry: int) -> str:
        return sas.sign("127.0.0.1", self.hub.policies.get("service").keys[0], expiry, "service")

    def expiry(self) -> int:
        """An hour from now, by the hub's clock."""
        return int(self.hub.clock.now()) + 3600


SERVICE_AUDIENCE = "127.0.0.1"


@pytest.fixture
async def amqp_door(hub: Hub) -> AsyncIterator[AmqpDoor]:
    front = AmqpFront(hub)
    server = await asyncio.get_running_loop().create_server(front.protocol, "127.0.0.1", 0)
    door = AmqpDoor(hub, server.sockets[0].getsockname())
    yield door
    for client in door.opened:
        await client.close()
    server.close()
    await front.stop()
