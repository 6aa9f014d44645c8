"""A stack on a real edge: its agent starts the modules, and what it reports decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub_tools.manifests import Deployment, Layer, Module
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier, StackFailedError
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge
from transport.loopback import free_loopback_address

PROJECT = Path(__file__).resolve().parents[3]
AGENT = Identity("real", "$edgeAgent")
QUIET = ("{python}", "-c", "import time; time.sleep(600)")
BASE = Deployment(
    name="base",
    target="deviceId = 'real'",
    priority=10,
    modules=[Module(name="one", image="test/quiet:1")],
)
MORE = Layer(name="more", target="deviceId = 'real'", priority=20, modules=[Module(name="two", image="test/quiet:1")])


@pytest.fixture
async def edge(service: RestHubService, hub: Any, tmp_path: Path) -> AsyncIterator[LocalEdge]:
    device = await service.create_device("real", edge=True)
    key = device["authentication"]["symmetricKey"]["primaryKey"]
    config = EdgeConfig(
        connection_string=f"HostName={hub.host};DeviceId=real;SharedAccessKey={key}",
        home=tmp_path / "edge",
        host=free_loopback_address((8883, 443, 8443)),
        ca_file=hub.files.authority,
        images=ImageTable(commands={"test/quiet": QUIET}, project=PROJECT),
    )
    running = LocalEdge(config)
    await running.start()
    await agent_has_reported(service)
    yield running
    await running.stop()
    await service.delete_device("real")


async def agent_has_reported(service: RestHubService) -> None:
    """Until it says that it has no deployment yet, and queries know it."""
    said = "moduleId = '$edgeAgent' AND is_defined(properties.reported.lastDesiredStatus)"
    async with asyncio.timeout(50):
        while not [row async for row in service.query(f"SELECT deviceId FROM devices.modules WHERE {said}")]:
            await asyncio.sleep(0.05)


async def wanted_image(service: RestHubService) -> str:
    """The image that the agent is to run as module `one`."""
    agent = await service.get_twin(AGENT)
    return str(agent["properties"]["desired"]["modules"]["one"]["settings"]["image"])


async def reported(service: RestHubService) -> dict[str, Any]:
    """Processes by module, as the agent reports them."""
    twin = await service.get_twin(AGENT)
    modules = twin["properties"]["reported"].get("modules", {})
    return {name: module["runtimeStatus"] for name, module in modules.items()}


async def test_a_stack_runs_fails_and_falls_back(edge: LocalEdge, applier: Applier, service: RestHubService) -> None:
    first = await applier.up({"base": BASE, "more": MORE})
    assert first.report is not None
    assert (first.report.succeeded, first.report.offline) == (1, ())
    assert await reported(service) == {"one": "running", "two": "running"}

    unknown = replace(BASE, modules=[Module(name="one", image="nobody/knows:1")])
    with pytest.raises(StackFailedError, match="nobody/knows"):
        await replace(applier, wait=replace(applier.wait, retried_for_s=0)).up({"base": unknown, "more": MORE})
    assert [item["id"] for item in await service.list_configurations()] == ["fleet-dev-base-1", "fleet-dev-more-1"]
    async with asyncio.timeout(50):
        while await wanted_image(service) != "test/quiet:1":
            await asyncio.sleep(0.05)

    third = await applier.up(
        {"base": replace(BASE, modules=[*BASE.modules, Module(name="three", image="test/quiet:1")])}
    )
    assert third.report is not None
    assert third.report.succeeded == 1
