"""The aggregator on a real edge: a module on the SDK sends, the aggregator's result arrives at the hub."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge

PROJECT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("probe_module.py")
ROUTES = {
    "in": 'FROM /messages/modules/sender/outputs/out INTO BrokeredEndpoint("/modules/aggregator/inputs/messages")',
    "up": "FROM /messages/modules/aggregator/outputs/* INTO $upstream",
}
DEFINITIONS = {
    "byTen": {
        "window": {"type": "tumbling", "size": 10},
        "groupBy": {"sender": "$connectionModuleId", "origin": "origin"},
        "timestamp": {"path": "$body.number", "format": "seconds"},
        "outOfOrderness": 0,
        "idleTimeout": 0.5,
        "aggregates": {"sum": {"function": "sum", "of": "$body.number"}, "n": {"function": "count"}},
    }
}
Wait = Callable[..., Awaitable[Any]]


@pytest.fixture
async def edge(config: EdgeConfig) -> AsyncIterator[LocalEdge]:
    commands = {
        "test/probe": (sys.executable, str(PROBE), "{host}", "0"),
        "edgeyard/aggregator": (sys.executable, "-m", "modules.aggregator"),
    }
    images = ImageTable(commands=commands, project=PROJECT)
    running = LocalEdge(dataclasses.replace(config, images=images))
    await running.start()
    yield running
    await running.stop()


async def test_results_of_windows_arrive_at_the_hub(
    edge: LocalEdge, service: RestHubService, device_id: str, deployment: Any, telemetry: Any, wait: Wait, runs: Any
) -> None:
    modules = {"sender": {}, "aggregator": {"settings": {"image": "edgeyard/aggregator:1"}}}
    content = deployment(modules, ROUTES)
    content["modulesContent"]["aggregator"] = {
        "properties.desired": {"definitions": DEFINITIONS, "reportingInterval": 1}
    }
    await service.apply_configuration_content(device_id, content)
    await wait(lambda: runs("sender", "aggregator"))

    async def applied() -> bool:
        twin = await service.get_twin(Identity(device_id, "aggregator"))
        return bool(twin["properties"]["reported"].get("definitions", {}).get("ac") == 200)

    await wait(applied)
    call = {"first": 0, "count": 25}
    await service.invoke_method(Identity(device_id, "sender"), "send", call, connect_timeout_s=20)
    await wait(lambda: len(telemetry.bodies("aggregator")) >= 3)
    bodies = telemetry.bodies("aggregator")
    assert [body["values"] for body in bodies] == [
        {"sum": 45, "n": 10},
        {"sum": 145, "n": 10},
        {"sum": 110, "n": 5},
    ]
    assert bodies[0]["group"] == {"sender": "sender", "origin": "probe"}
