"""One hub process for all tests of the fronts, and small clients of it."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from iot_core import sas
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from local_hub.environment import hub_environment
from tests.local_hub.http_sessions import http_session
from transport.loopback import free_loopback_address

API_VERSION = "2021-04-12"
Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class HubProcess:
    """A hub that runs in a process of its own."""

    home: Path
    host: str
    process: subprocess.Popen[str]

    @property
    def owner(self) -> ConnectionString:
        return ConnectionString.parse(hub_environment(self.home)["IOTHUB_CONNECTION_STRING"])

    @property
    def running(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.home / "hub" / "running.json").read_text())
        return document

    @property
    def ca_file(self) -> Path:
        return self.home / "hub" / "ca.pem"

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(timeout=10) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


def start_hub(home: Path, host: str, *options: str) -> HubProcess:
    """Start a hub and return once it has printed its line."""
    command = [sys.executable, "-m", "local_hub", "--home", str(home), "--host", host, *options]
    home.mkdir(exist_ok=True)
    with (home / "stderr").open("a") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("hub ready"), (home / "stderr").read_text()
    return HubProcess(home=home, host=host, process=process)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    running = start_hub(tmp_path_factory.mktemp("fronts"), free_loopback_address([5671, 8443, 8883]))
    yield running
    running.stop()


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[Callable[[], HubProcess]]:
    """Starts a hub of the test's own; called again, it stops that and starts it anew on the same folder and address."""
    host, started = free_loopback_address([5671, 8443, 8883]), list[HubProcess]()

    def start() -> HubProcess:
        if started:
            started[-1].stop()
        started.append(start_hub(tmp_path, host))
        return started[-1]

    yield start
    started[-1].stop()


@pytest.fixture
def own_hub_with(tmp_path: Path) -> Iterator[Callable[..., HubProcess]]:
    """Starts a hub of the test's own with more options."""
    started = list[HubProcess]()

    def start(*options: str) -> HubProcess:
        started.append(start_hub(tmp_path, free_loopback_address([5671, 8443, 8883]), *options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: Any


@dataclass(frozen=True, kw_only=True)
class Device:
    """A registered device or module and what it needs to log in."""

    identity: Identity
    host: str
    key: str

    @property
    def connection_string(self) -> str:
        module = f";ModuleId={self.identity.module_id}" if self.identity.module_id else ""
        return f"HostName={self.host};DeviceId={self.identity.device_id}{module};SharedAccessKey={self.key}"

    def token(self, expires_in: float = 3600.0) -> str:
        return sas.sign(self.identity.resource(self.host), self.key, int(time.time() + expires_in))


class RestClient:
    """Raw REST calls with the owner's token, or with another or none."""

    def __init__(self, hub: HubProcess, session: aiohttp.ClientSession) -> None:
        self._hub = hub
        self._session = session

    async def call(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "owner",
        data: bytes | io.BytesIO | None = None,
        query: str = f"api-version={API_VERSION}",
        **headers: str,
    ) -> Answer:
        owner = self._hub.owner
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = sas.token_for(owner, time.time()) if token == "owner" else token
        url = URL(f"https://{owner.host_name}{path}?{query}", encoded=True)
        payload = json.dumps(body).encode() if data is None and body is not None else data
        if payload is not None:
            sent.setdefault("Content-Type", "application/json; charset=utf-8")
        async with self._session.request(verb, url, data=payload, headers=sent, ssl=self._hub.tls) as reply:
            text = await reply.text()
            return Answer(status=reply.status, headers=reply.headers, body=json.loads(text) if text.strip() else None)

    async def device(self, module: str | None = None, **fields: Any) -> Device:
        """Register a device with a random id, and a module on it when one is named."""
        device_id = f"d-{uuid.uuid4().hex[:8]}"
        answer = await self.call("PUT", f"/devices/{device_id}", {"deviceId": device_id, **fields})
        assert answer.status == 200, answer
        if module is not None:
            body = {"deviceId": device_id, "moduleId": module}
            answer = await self.call("PUT", f"/devices/{device_id}/modules/{module}", body)
            assert answer.status == 200, answer
        key = answer.body["authentication"]["symmetricKey"]["primaryKey"]
        return Device(identity=Identity(device_id, module), host=self._hub.host, key=key)


@pytest.fixture
async def rest_of() -> AsyncIterator[Callable[[HubProcess], RestClient]]:
    """REST clients of any hub."""
    async with http_session() as session:
        yield lambda hub: RestClient(hub, session)


@pytest.fixture
def rest(hub: HubProcess, rest_of: Callable[[HubProcess], RestClient]) -> RestClient:
    return rest_of(hub)


class Trace:
    """The events of one device, read from the admin door."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is wanted; those before it are passed over."""
        async for line in self._reply.content:
            event: Event = json.loads(line)
            if wanted(event):
                return event
        raise AssertionError("the event stream ended")

    async def source(self, name: str) -> Event:
        return await self.until(lambda event: event["source"] == name)


TraceFactory = Callable[[str], Any]


@pytest.fixture
def trace(hub: HubProcess) -> TraceFactory:
    @asynccontextmanager
    async def open_trace(device_id: str) -> AsyncIterator[Trace]:
        async with (
            http_session() as session,
            session.get(admin_url(hub, "/events"), params={"device": device_id}, headers=admin_headers(hub)) as reply,
        ):
            assert reply.status == 200
            yield Trace(reply)

    return open_trace


@pytest.fixture
def admin_door(hub: HubProcess) -> tuple[Callable[[str], str], dict[str, str]]:
    """The address of a path on the admin door, and the headers that open it."""
    return lambda path: admin_url(hub, path), admin_headers(hub)


@pytest.fixture
async def send_c2d() -> AsyncIterator[Callable[..., Awaitable[dict[str, Any]]]]:
    """Sends a cloud-to-device message by the admin door of a hub."""
    async with http_session() as session:

        async def send(hub: HubProcess, device: Device, body: str = "", **message: Any) -> dict[str, Any]:
            document = {"deviceId": device.identity.device_id, "body": body, **message}
            url, headers = admin_url(hub, "/c2d"), admin_headers(hub)
            async with session.post(url, json=document, headers=headers) as reply:
                assert reply.status == 201, await reply.text()
                answer: dict[str, Any] = await reply.json()
                return answer

        yield send


def admin_url(hub: HubProcess, path: str) -> str:
    running = hub.running
    return f"http://{running['admin_host']}:{running['admin_port']}{path}"


def admin_headers(hub: HubProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {(hub.home / 'hub' / 'admin.token').read_text()}"}


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    """Asks a condition again until it gives something true; ten seconds at most."""

    async def ask(condition: Callable[[], Awaitable[Any]]) -> Any:
        deadline = asyncio.get_running_loop().time() + 10
        while asyncio.get_running_loop().time() < deadline:
            if result := await condition():
                return result
            await asyncio.sleep(0.02)
        raise AssertionError("the condition never came true")

    return ask


@pytest.fixture
async def fault(hub: HubProcess) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Throws a switch of the hub's faults, for one device; in the end they are all taken back."""
    async with http_session(headers=admin_headers(hub)) as session:
        devices = list[str]()

        async def throw(kind: str, device_id: str, **more: Any) -> None:
            devices.append(device_id)
            body = {"kind": kind, "device": device_id, **more}
            async with session.post(admin_url(hub, "/faults"), json=body) as reply:
                assert reply.status < 300, await reply.text()

        yield throw
        for device_id in devices:
            async with session.delete(admin_url(hub, "/faults"), params={"device": device_id}) as reply:
                assert reply.status == 200
