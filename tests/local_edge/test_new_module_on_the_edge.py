"""Modules that `edgeyard new module` wrote, one of each kind, deployed with their entries of the template."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgeyard.scaffold import Kind, NewModule, create_module
from hub_tools.deployments import expand_template
from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge, load_image_table
from local_edge.control import logs
from tests.edgeyard.new_module_project import MODEL, project_copy

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
FILTER, HTTP, ML = NAMES = ("pressure", "door", "wear")
VARIABLES = {"CONTAINER_REGISTRY": "edgeyard", "TEXT_ANALYTICS_KEY": "k", "TEXT_ANALYTICS_BILLING": "b"}
WINDOW = [20.0] * 336
"""What the model of the third takes: three weeks and a half of hours."""
ROUTES = {
    "in": f'FROM /messages/modules/probe/outputs/* INTO BrokeredEndpoint("/modules/{FILTER}/inputs/messages")',
    "through": f'FROM /messages/modules/{HTTP}/outputs/* INTO BrokeredEndpoint("/modules/{ML}/inputs/telemetry")',
    **{name: f"FROM /messages/modules/{name}/outputs/* INTO $upstream" for name in (FILTER, ML)},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    project_copy(folder)
    create_module(folder, NewModule(name=FILTER))
    create_module(folder, NewModule(name=HTTP, kind=Kind.HTTP))
    create_module(folder, NewModule(name=ML, kind=Kind.ML, model=MODEL))
    return folder


@pytest.fixture
def config(config: EdgeConfig, project: Path) -> EdgeConfig:
    """An edge whose engine table is that of the project with the new modules."""
    table = load_image_table(project / "edgeyard.toml")
    return replace(config, images=ImageTable(commands={**config.images.commands, **table.commands}, project=project))


async def test_each_kind_runs_takes_its_settings_and_passes_messages_on(
    edge: LocalEdge,
    config: EdgeConfig,
    project: Path,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    telemetry: Any,
    wait: Wait,
    runs: Callable[..., Awaitable[bool]],
) -> None:
    template = expand_template(project / "deployment.template.json", variables=VARIABLES, target_platform="amd64")
    written = template["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    content = deployment({"probe": {}, **{name: written[name] for name in NAMES}}, ROUTES)
    desired = {"field": "number", "threshold": 2.0, "reportingInterval": 0.5}
    content["modulesContent"][FILTER] = {"properties.desired": desired}
    await service.apply_configuration_content(device_id, content)
    await wait(lambda: runs("probe", *NAMES))
    await wait(lambda: "probe ready" in "".join(logs(config.home, "probe")))

    async def reported(name: str) -> Any:
        return (await service.get_twin(Identity(device_id, FILTER)))["properties"]["reported"].get(name)

    async def applied() -> bool:
        return ((await reported("threshold")) or {}).get("ac") == 200

    await wait(applied)
    probe = Identity(device_id, "probe")
    await service.invoke_method(probe, "send", {"first": 0, "count": 5}, connect_timeout_s=20)
    await wait(lambda: len(telemetry.bodies(FILTER)) >= 2)
    assert telemetry.bodies(FILTER) == [{"number": 3}, {"number": 4}]

    async def all_counted() -> bool:
        return (await reported("seen"), await reported("passed")) == (5, 2)

    await wait(all_counted)

    async def posted() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                url = f"http://{config.host}:{host_port(written[HTTP])}/messages"
                async with session.post(url, json={"inputs": [WINDOW]}) as response:
                    return response.status == 202
            except aiohttp.ClientConnectionError:
                return False

    await wait(posted)
    await wait(lambda: telemetry.bodies(ML))
    (scored,) = telemetry.bodies(ML)
    assert [len(values) for values in scored["outputs"].values()] == [1] * len(scored["outputs"])


def host_port(entry: dict[str, Any]) -> str:
    """Where the module's interface is, by its createOptions."""
    ((binding,),) = json.loads(entry["settings"]["createOptions"])["HostConfig"]["PortBindings"].values()
    return str(binding["HostPort"])
