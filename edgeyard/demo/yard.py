"""Brings up what the demo plays with: the hub, its devices, the edge with its modules, the fleet; and takes it down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeyard.admin import AdminDoor
from edgeyard.demo.deployment import STACK_FILE, deploy
from edgeyard.demo.observer import Observer
from edgeyard.demo.processes import Child, DemoError
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from local_edge.control import list_modules
from local_hub.environment import hub_environment
from local_hub.home import HubHome
from transport.loopback import free_loopback_address

__all__ = ["BUILDINGS", "EDGE_DEVICE", "REPORTING_INTERVAL_S", "Yard", "raise_yard"]

Json = dict[str, Any]
EDGE_DEVICE = "edge-1"
BUILDINGS = ("B1", "B2")
DEVICES_PER_BUILDING = 26
REPORTING_INTERVAL_S = 5
"""Of every device before the job; short enough that a rate can be measured within the demo's minute."""
HUB_START_S, EDGE_START_S, FLEET_START_S, MODULES_START_S = 20.0, 20.0, 30.0, 30.0
HUB_PORTS, EDGE_PORTS = (8883, 5671, 8443, 443), (8883, 8443, 443, 5000, 5001)
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Yard:
    """All that runs, and how to reach it."""

    home: Path
    edge_host: str
    service: RestHubService
    observer: Observer
    door: AdminDoor
    buildings: Mapping[str, str]
    modules: frozenset[str]
    children: tuple[Child, ...]

    async def first_to_end(self) -> Child:
        """Waits until one of the processes ends that should run on, and says which."""
        waiting = {asyncio.create_task(child.ended()): child for child in self.children}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return waiting[done.pop()]
        finally:
            for task in waiting:
                task.cancel()


@asynccontextmanager
async def raise_yard(home: Path, project: Path, say: Say) -> AsyncIterator[Yard]:
    """Everything up and connected; `DemoError` names what did not come up. `project` has stack and modules."""
    async with AsyncExitStack() as stack:

        async def start(name: str, *arguments: str) -> Child:
            child = await Child.start(name, arguments, home=home, folder=project)
            stack.push_async_callback(child.stop)
            return child

        hub_host = free_loopback_address(HUB_PORTS)
        hub = await start("hub", "edgeyard", "hub", "run", "--host", hub_host)
        await hub.ready("hub ready", within_s=HUB_START_S)
        variables = hub_environment(home)
        owner = ConnectionString.parse(variables["IOTHUB_CONNECTION_STRING"])
        service = await stack.enter_async_context(RestHubService(owner, ca_file=HubHome(home).authority))
        say(f"hub: {service.host_name}, MQTT on 8883")

        buildings = {
            f"thermostat-{building.lower()}-{number:02}": building
            for building in BUILDINGS
            for number in range(1, DEVICES_PER_BUILDING + 1)
        }
        fleet_file = await _register(service, home, buildings)
        say(f"registered: {len(buildings)} devices in {' and '.join(BUILDINGS)}, 1 edge device")

        door = await stack.enter_async_context(AdminDoor.of(home))
        observer = Observer(buildings=buildings)
        await _follow(stack, observer, door)

        deployed = await deploy(service, EDGE_DEVICE, project=project, home=home)
        modules = deployed.modules
        say(f"{STACK_FILE} applied to {EDGE_DEVICE}: {', '.join(deployed.applied)}")

        edge_host = free_loopback_address(EDGE_PORTS, taken={hub_host})
        edge = await start("edge", "edgeyard", "edge", "run", EDGE_DEVICE, "--host", edge_host)
        fleet = await start("fleet", "device.fleet", "--file", str(fleet_file), "--ca", variables["SSL_CERT_FILE"])
        await edge.ready("edge ready", within_s=EDGE_START_S)
        await _modules_running(home, edge, modules)
        say(f"edge: {len(modules)} modules run on {edge_host}")
        await fleet.ready("ready", within_s=FLEET_START_S)
        say(f"fleet: {len(buildings)} devices connected by azure-iot-device")

        yield Yard(
            home=home,
            edge_host=edge_host,
            service=service,
            observer=observer,
            door=door,
            buildings=buildings,
            modules=modules,
            children=(hub, edge, fleet),
        )


async def _register(service: RestHubService, home: Path, buildings: Mapping[str, str]) -> Path:
    """Makes all identities and twins; the file of the devices' connection strings."""
    await service.create_device(EDGE_DEVICE, edge=True)
    lines = await asyncio.gather(*(_register_device(service, *item) for item in buildings.items()))
    file = home / "fleet.txt"
    file.touch(mode=0o600)
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


async def _register_device(service: RestHubService, device_id: str, building: str) -> str:
    device = await service.create_device(device_id)
    patch: Json = {
        "tags": {"building": building},
        "properties": {"desired": {"reportingInterval": REPORTING_INTERVAL_S}},
    }
    await service.patch_twin(Identity(device_id), patch)
    return str(
        ConnectionString(
            host_name=service.host_name.partition(":")[0],
            device_id=device_id,
            shared_access_key=device["authentication"]["symmetricKey"]["primaryKey"],
        )
    )


async def _follow(stack: AsyncExitStack, observer: Observer, door: AdminDoor) -> None:
    task = asyncio.create_task(observer.follow(door))

    async def end() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


async def _modules_running(home: Path, edge: Child, modules: frozenset[str]) -> None:
    states: dict[str, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(MODULES_START_S):
            while True:
                states = {
                    row.name: row.status for row in await asyncio.to_thread(list_modules, home / "edge" / EDGE_DEVICE)
                }
                if all(states.get(module) == "running" for module in modules):
                    return
                if not edge.running:
                    break
                await asyncio.sleep(0.2)
    missing = {module: states.get(module, "absent") for module in sorted(modules) if states.get(module) != "running"}
    raise DemoError(f"modules do not run: {json.dumps(missing)}: {edge.last_words()}")
