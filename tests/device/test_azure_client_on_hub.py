"""SdkClient, the application frame and the fleet on a real local hub, over MQTT and TLS."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device.azure_client import SdkClient
from device.errors import CredentialRefusedError, UntrustedHubError
from device.fleet import Fleet
from device.simulated import SimulatedDevice
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.home import HubHome
from transport.loopback import free_loopback_address

PROJECT = Path(__file__).parents[2]
POLL_S = 0.02
WAIT_S = 20.0


@dataclass(frozen=True)
class HubProcess:
    """A hub in a process of its own: the library blocks the loop now and then, a hub in the same loop would wait for
    ever."""

    host: str
    home: Path

    @property
    def ca_file(self) -> Path:
        return HubHome(self.home).authority

    def service(self) -> RestHubService:
        owner = HubHome(self.home).owner_connection_string.read_text()
        return RestHubService(ConnectionString.parse(owner), ca_file=self.ca_file)

    async def new_device(self) -> ConnectionString:
        async with self.service() as service:
            device = await service.create_device(f"dev-{uuid.uuid4().hex[:8]}")
        key = device["authentication"]["symmetricKey"]["primaryKey"]
        return ConnectionString(host_name=self.host, device_id=device["deviceId"], shared_access_key=key)

    def client(self, device: ConnectionString) -> SdkClient:
        return SdkClient.from_connection_string(str(device), ca_file=self.ca_file)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    home, host = tmp_path_factory.mktemp("hub"), free_loopback_address((8883, 8443, 443))
    command = [sys.executable, "-m", "local_hub", "--home", str(home), "--host", host]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("hub ready")
            yield HubProcess(host, home)
        finally:
            process.terminate()
            assert process.wait(10) == 0


@asynccontextmanager
async def simulated(hub: HubProcess) -> AsyncIterator[tuple[SimulatedDevice, Identity]]:
    device = await hub.new_device()
    assert device.identity is not None
    simulation = SimulatedDevice(hub.client(device), device.identity.path)
    stop = asyncio.Event()
    task = asyncio.create_task(simulation.run(stop))
    try:
        async with asyncio.timeout(WAIT_S):
            await simulation.app.ready.wait()
        yield simulation, device.identity
    finally:
        stop.set()
        await task


async def reported(
    service: RestHubService, identity: Identity, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The reported properties, as soon as `condition` holds for them."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        values: dict[str, Any] = (await service.get_twin(identity))["properties"]["reported"]
        if condition(values):
            return values
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"not reported within {WAIT_S} s: {values}")


async def test_a_device_acknowledges_what_an_operator_sets(hub: HubProcess) -> None:
    async with simulated(hub) as (device, identity), hub.service() as service:
        twin = await service.patch_twin(
            identity, {"properties": {"desired": {"reportingInterval": 2, "lowBattery": "full"}}}
        )
        version = twin["properties"]["desired"]["$version"]
        values = await reported(service, identity, lambda v: bool(v["reportingInterval"]["av"] == version))
        assert values["reportingInterval"]["ac"] == 200
        assert (values["lowBattery"]["value"], values["lowBattery"]["ac"]) == (20, 400)
        assert device.app.settings.reporting_interval == 2


async def test_direct_methods_are_answered_and_a_reboot_is_reported(hub: HubProcess) -> None:
    async with simulated(hub) as (_, identity), hub.service() as service:
        assert (await service.invoke_method(identity, "reboot", {"delaySeconds": "soon"})).status == 400
        assert (await service.invoke_method(identity, "reboot", {"delaySeconds": 0})).status == 200
        values = await reported(service, identity, lambda v: "lastReboot" in v)
        assert values["lastReboot"].endswith("Z")


async def test_reported_patches_are_merged_and_deleted(hub: HubProcess) -> None:
    client = hub.client(await hub.new_device())
    client.on_desired(ignore)
    await client.connect()
    await client.update_reported({"door": {"state": "open", "since": 1}})
    await client.update_reported({"door": {"since": None}})
    twin = await client.get_twin()
    await client.disconnect()
    assert twin["reported"]["door"] == {"state": "open"}
    assert twin["desired"]["$version"] == 1


async def test_telemetry_is_acknowledged(hub: HubProcess) -> None:
    client = hub.client(await hub.new_device())
    await client.connect()
    await client.send(Message(json.dumps({"t": 1}).encode(), {"a b": "c/d"}, {"contentType": "application/json"}))
    await client.disconnect()


async def test_a_wrong_key_is_refused(hub: HubProcess) -> None:
    device = await hub.new_device()
    wrong = ConnectionString(host_name=hub.host, device_id=device.device_id, shared_access_key="d3Jvbmc=")
    with pytest.raises(CredentialRefusedError, match="refused the credentials"):
        await hub.client(wrong).connect()


@pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_a_hub_that_no_ca_vouches_for_is_not_trusted(hub: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    client = SdkClient.from_connection_string(str(await hub.new_device()))
    with pytest.raises(UntrustedHubError, match="is not trusted: give its CA file"):
        await client.connect()
    gc.collect()  # Else the socket that the library left open is found in a later test.


async def test_connecting_again_and_again_leaves_no_threads_behind(hub: HubProcess) -> None:
    client = hub.client(await hub.new_device())
    client.on_desired(ignore)
    await client.connect()
    await client.disconnect()
    before = set(threading.enumerate())
    for _ in range(3):
        await client.connect()
        await client.disconnect()
    async with asyncio.timeout(10):  # A thread that has done its work takes a moment to be gone.
        while not client_threads() <= before:
            await asyncio.sleep(0.01)


async def test_fifty_devices_in_one_process_connect_and_stop(hub: HubProcess) -> None:
    devices = await asyncio.gather(*(hub.new_device() for _ in range(50)))
    stop, ready = asyncio.Event(), []

    def on_ready(count: int) -> None:
        ready.append(count)
        stop.set()

    fleet = Fleet([str(device) for device in devices], lambda text: hub.client(ConnectionString.parse(text)))
    await fleet.run(stop, on_ready=on_ready)
    assert ready == [50]
    assert fleet.failed == {}


def client_threads() -> set[threading.Thread]:
    """Threads but for the workers of the test's own event loop, which come and go as they are needed."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


async def ignore(patch: dict[str, Any]) -> None:
    """A client subscribes to what has a callback."""
