"""One hub process, and one Node.js process that uses Azure's SDKs on it.

The tests run only when they are asked for by their mark, `pytest -m node` (scripts/test-node.sh), since they need
Node.js and packages of npm.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from local_hub.home import HubHome
from local_hub.ports import HTTPS_PORT
from tests.acceptance.support import Process, RunningHub
from tests.node.support import FOLDER, Door, Peer
from transport.loopback import free_loopback_address

PORTS = (443, 5671, 8443, 8883)
ONLY_443 = "the hub may not listen on 443 here, and Node's SDK knows no other port for this"
"""Listed in scripts/allowed-skips.txt."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "node: drives the hub with Azure's SDKs for Node.js (scripts/test-node.sh)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out of a run that does not name their mark."""
    if "node" in config.option.markexpr:
        return
    left_out = [item for item in items if FOLDER in item.path.parents]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    home = tmp_path_factory.mktemp("home")
    host = free_loopback_address(PORTS)
    process = Process(home, "hub", "run", "--host", host, until="hub ready")
    yield RunningHub(home, host)
    assert process.stop() == 0


@pytest.fixture(scope="session")
def peer(hub: RunningHub) -> Iterator[Peer]:
    started = Peer(hub)
    yield started
    started.stop()


@pytest.fixture
def on_443(hub: RunningHub) -> None:
    """For what reaches the hub on port 443 alone: WebSockets, HTTPS and the operators' SDK."""
    if json.loads(HubHome(hub.home).running.read_text())["http_port"] != HTTPS_PORT:
        pytest.skip(ONLY_443)


@pytest.fixture
def service(hub: RunningHub, peer: Peer, on_443: None) -> Peer:
    """The peer, as an operator."""
    peer.call("service", hub.variables["IOTHUB_CONNECTION_STRING"])
    return peer


@pytest.fixture
async def new_device(hub: RunningHub) -> Callable[..., Any]:
    """Registers a device with a random id, or a module on one; gives the device's id and what to log in with."""

    async def register(module: str | None = None) -> tuple[str, str]:
        device_id = f"node-{uuid.uuid4().hex[:8]}"
        async with hub.service() as operators:
            made = await operators.create_device(device_id)
            if module is not None:
                body = {"deviceId": device_id, "moduleId": module}
                made = (await operators.call("PUT", f"/devices/{device_id}/modules/{module}", body)).object()
        key = made["authentication"]["symmetricKey"]["primaryKey"]
        text = hub.device_connection_string(device_id, key)
        return device_id, text if module is None else text.replace(";Shared", f";ModuleId={module};Shared")

    return register


@pytest.fixture
def telemetry_of(hub: RunningHub) -> Callable[[str], list[dict[str, Any]]]:
    """What the built-in endpoint holds of a device, in the order of sending."""
    door = Door(hub)

    def read(device_id: str) -> list[dict[str, Any]]:
        partitions = door.call("/eventhub")["partitions"]
        events = [door.call(f"/eventhub/partitions/{each['id']}/events?limit=1000") for each in partitions]
        return [event for partition in events for event in partition if event["deviceId"] == device_id]

    return read


@pytest.fixture
def send_to(hub: RunningHub) -> Callable[[str, dict[str, Any]], None]:
    """Sends a cloud-to-device message by the admin door."""
    door = Door(hub)

    def send(device_id: str, message: dict[str, Any]) -> None:
        door.call("/c2d", {"deviceId": device_id, **message})

    return send


@pytest.fixture
async def operators(hub: RunningHub) -> AsyncIterator[RestHubService]:
    """The operators' client of Edgeyard, for the other side of a test."""
    async with hub.service() as client:
        yield client
