"""A module that `edgeyard new module` wrote, deployed as it is: messages in, those above the threshold at the hub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeyard.scaffold import NewModule, create_module
from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge, load_image_table
from local_edge.control import logs
from tests.edgeyard.new_module_project import project_copy

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
INTO = 'INTO BrokeredEndpoint("/modules/pressure/inputs/messages")'
ROUTES = {
    "pressureInput": "FROM /messages/modules/probe/outputs/out " + INTO,
    "pressureToHub": "FROM /messages/modules/pressure/outputs/* INTO $upstream",
}


@pytest.fixture
def config(config: EdgeConfig, tmp_path: Path) -> EdgeConfig:
    """An edge whose engine table is that of a project with the new module."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = project_copy(folder)
    create_module(project, NewModule(name="pressure"))
    table = load_image_table(project / "edgeyard.toml")
    return replace(config, images=ImageTable(commands={**config.images.commands, **table.commands}, project=project))


async def test_it_runs_and_its_settings_and_messages_work(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    telemetry: Any,
    wait: Wait,
    runs: Callable[..., Awaitable[bool]],
) -> None:
    modules = {"probe": {}, "pressure": {"settings": {"image": "edgeyard/pressure:0.1.0-amd64"}}}
    content = deployment(modules, ROUTES)
    desired = {"field": "number", "threshold": 2.0, "reportingInterval": 0.5}
    content["modulesContent"]["pressure"] = {"properties.desired": desired}
    await service.apply_configuration_content(device_id, content)
    await wait(lambda: runs("probe", "pressure"))
    await wait(lambda: "probe ready" in "".join(logs(config.home, "probe")))

    async def reported(name: str) -> Any:
        return (await service.get_twin(Identity(device_id, "pressure")))["properties"]["reported"].get(name)

    async def applied() -> bool:
        return ((await reported("threshold")) or {}).get("ac") == 200

    await wait(applied)
    probe = Identity(device_id, "probe")
    await service.invoke_method(probe, "send", {"first": 0, "count": 5}, connect_timeout_s=20)
    await wait(lambda: len(telemetry.bodies("pressure")) >= 2)
    assert telemetry.bodies("pressure") == [{"number": 3}, {"number": 4}]

    async def all_counted() -> bool:
        return (await reported("seen"), await reported("passed")) == (5, 2)

    await wait(all_counted)
