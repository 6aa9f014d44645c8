"""A hub process and an edge of one's own: both on free loopback addresses, as on one machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge
from local_edge.agent.restart import RestartRules
from local_hub.home import HubHome
from transport.loopback import free_loopback_address

PROJECT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe_module.py")
START_S = 30.0
WAIT_S = 30.0
DEVICE = "edge-1"


@dataclass
class HubProcess:
    """`python -m local_hub` on an address of its own; it can be stopped and started again."""

    home: Path
    host: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.home / "hub.log"
        with log.open("ab") as output:
            start = output.tell()
            command = [sys.executable, "-m", "local_hub", "--home", str(self.home), "--host", self.host]
            self.process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while b"hub ready" not in log.read_bytes()[start:]:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(15)
            self.process = None

    @property
    def files(self) -> HubHome:
        return HubHome(self.home)

    def service(self) -> RestHubService:
        owner = ConnectionString.parse(self.files.owner_connection_string.read_text().strip())
        return RestHubService(owner, ca_file=self.files.authority)


@dataclass
class Telemetry:
    """What arrived at the hub's built-in endpoint so far."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def bodies(self, module: str) -> list[Any]:
        return [
            event["body"] for event in self.events if event["source"] == "Telemetry" and event.get("moduleId") == module
        ]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path_factory.mktemp("hub"), free_loopback_address((8883, 443, 8443)))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def service(hub: HubProcess) -> AsyncIterator[RestHubService]:
    async with hub.service() as client:
        yield client


@pytest.fixture
async def device_id(service: RestHubService) -> AsyncIterator[str]:
    yield DEVICE
    await service.delete_device(DEVICE)


@pytest.fixture
async def config(hub: HubProcess, service: RestHubService, device_id: str, tmp_path: Path) -> EdgeConfig:
    """A new edge device; images: the probe, a module that does nothing, one that ends. Back-off in milliseconds."""
    device = await service.create_device(device_id, edge=True)
    key = device["authentication"]["symmetricKey"]["primaryKey"]
    probe = ("{python}", str(PROBE), "{host}", "{port:5001/tcp}")
    quiet = ("{python}", "-c", "import time; time.sleep(600)")
    ends = ("{python}", "-c", "import sys; print('about to end'); sys.exit(3)")
    return EdgeConfig(
        connection_string=f"HostName={hub.host};DeviceId={device_id};SharedAccessKey={key}",
        home=tmp_path / "edge",
        host=free_loopback_address((8883, 443, 8443)),
        ca_file=hub.files.authority,
        images=ImageTable(commands={"test/probe": probe, "test/quiet": quiet, "test/ends": ends}, project=PROJECT),
        restart_rules=RestartRules(base_s=0.01, cap_s=0.05, max_restarts=3),
    )


@pytest.fixture
async def edge(config: EdgeConfig) -> AsyncIterator[LocalEdge]:
    running = LocalEdge(config)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def telemetry(hub: HubProcess, device_id: str) -> AsyncIterator[Telemetry]:
    """The device's events from now on, whenever the hub is away meanwhile."""
    seen = Telemetry()
    async with aiohttp.ClientSession() as session:
        partitions = (await _ask(hub, session, "/eventhub"))["partitions"]
        following = {each["id"]: each["lastSequenceNumber"] + 1 for each in partitions}
        watching = asyncio.create_task(_watch(hub, session, following, device_id, seen))
        yield seen
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(
    hub: HubProcess, session: aiohttp.ClientSession, following: dict[str, int], device_id: str, seen: Telemetry
) -> None:
    """`following` has the number of each partition's next event."""
    while True:
        with suppress(aiohttp.ClientError, OSError, ValueError):
            for partition in following:
                path = f"/eventhub/partitions/{partition}/events?from=sequence:{following[partition]}"
                for event in await _ask(hub, session, path):
                    following[partition] = event["sequenceNumber"] + 1
                    if event["deviceId"] == device_id:
                        seen.events.append(event)
        await asyncio.sleep(0.05)


async def _ask(hub: HubProcess, session: aiohttp.ClientSession, path: str) -> Any:
    """Of the hub's own door for tests."""
    running = json.loads(hub.files.running.read_text())
    headers = {"Authorization": f"Bearer {hub.files.admin_token.read_text().strip()}"}
    url = f"http://{running['admin_host']}:{running['admin_port']}{path}"
    async with session.get(url, headers=headers, raise_for_status=True) as response:
        return await response.json()


async def until(condition: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """Wait until `condition` (plain or async) gives something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain"
        await asyncio.sleep(0.05)


@pytest.fixture
def wait() -> Callable[..., Awaitable[Any]]:
    """The `until` of this file: test files cannot import it from here."""
    return until


def manifest(modules: dict[str, Any], routes: dict[str, Any]) -> dict[str, Any]:
    """A whole deployment of `modules` ({name: changes to the usual entry})."""
    system = {
        "type": "docker",
        "status": "running",
        "restartPolicy": "always",
        "settings": {"image": "edgeyard/system", "createOptions": "{}"},
    }
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": {"type": "docker", "settings": system["settings"]}, "edgeHub": system},
        "modules": {name: _module(changes) for name, changes in modules.items()},
    }
    hub = {"schemaVersion": "1.1", "routes": routes, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    return {"modulesContent": {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": hub}}}


def _module(changes: dict[str, Any]) -> dict[str, Any]:
    entry = {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "test/probe:1"}}
    return {**entry, **changes}


@pytest.fixture
def deployment() -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    return manifest


@pytest.fixture
def agent_reports(service: RestHubService, device_id: str) -> Callable[[], Awaitable[dict[str, Any]]]:
    """The reported properties of $edgeAgent as the hub has them."""

    async def read() -> dict[str, Any]:
        twin = await service.get_twin(Identity(device_id, "$edgeAgent"))
        reported: dict[str, Any] = twin["properties"]["reported"]
        return reported

    return read


@pytest.fixture
def runs(
    agent_reports: Callable[[], Awaitable[dict[str, Any]]], service: RestHubService, device_id: str
) -> Callable[..., Awaitable[bool]]:
    """Whether $edgeAgent reports all of these modules as running, and $edgeHub has taken its routes."""

    async def check(*names: str) -> bool:
        modules = (await agent_reports()).get("modules", {})
        routed = (await service.get_twin(Identity(device_id, "$edgeHub")))["properties"]
        return routed["reported"].get("lastDesiredVersion") == routed["desired"]["$version"] and all(
            modules.get(name, {}).get("runtimeStatus") == "running" for name in names
        )

    return check


@pytest.fixture
def module_pid(config: EdgeConfig) -> Callable[[str], int | None]:
    """The process id of a module, as the edge notes it."""

    def read(name: str) -> int | None:
        path = config.home / "run" / f"{name}.json"
        if not path.exists():
            return None
        pid: int = json.loads(path.read_text())["pid"]
        return pid if os.path.exists(f"/proc/{pid}") or sys.platform != "linux" else None

    return read
