"""A message that a module has not done with when it is killed comes again: nothing that is acknowledged is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge

SCRIPT = Path(__file__).with_name("dying_module.py")
ROUTES = {
    "in": 'FROM /messages/modules/probe/outputs/out INTO BrokeredEndpoint("/modules/dying/inputs/in")',
    "up": "FROM /messages/modules/dying/outputs/out INTO $upstream",
}


@pytest.fixture
def config(config: EdgeConfig) -> EdgeConfig:
    commands = {**config.images.commands, "test/dying": ("{python}", str(SCRIPT))}
    return replace(config, images=ImageTable(commands=commands, project=config.images.project))


async def test_a_message_under_way_comes_again_after_a_kill(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    telemetry: Any,
    wait: Callable[..., Awaitable[Any]],
    runs: Callable[..., Awaitable[bool]],
) -> None:
    modules = {"probe": {}, "dying": {"settings": {"image": "test/dying:1"}}}
    await service.apply_configuration_content(device_id, deployment(modules, ROUTES))
    await wait(lambda: runs("probe", "dying"))
    probe = Identity(device_id, "probe")
    await service.invoke_method(probe, "send", {"first": 7, "count": 1}, connect_timeout_s=20)
    await wait(lambda: telemetry.bodies("dying"))
    assert telemetry.bodies("dying") == [{"number": 7}]
    assert (config.home / "modules" / "dying" / "died").exists()
