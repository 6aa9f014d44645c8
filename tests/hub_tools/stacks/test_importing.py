"""Taking over a deployment that was made otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub_tools.manifests import CreateOptions, Deployment, Layer, Module, RegistryCredential, Route
from hub_tools.rest import RestHubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.environments import Environment
from hub_tools.stacks.importing import ImportRefusedError, prepare_import, take_over
from hub_tools.stacks.program import Stack

BASE = Deployment(
    name="factory-base",
    target="tags.building = 'B1'",
    priority=10,
    labels={"owner": "ann"},
    modules=[
        Module(
            name="sensor",
            image="acme/sensor:1",
            env={"API_KEY": "very-secret-1", "RATE": 5},
            create_options=CreateOptions.of(
                env={"TOKEN": "very-secret-2"},
                memory="64m",
                extra={"Labels": {"to": "HostName=h;SharedAccessKey=very-secret-4"}},
            ),
            ports={5000: 5000},
            desired={"limits": {"high": 30}, "note": 'say "hi"\n'},
        )
    ],
    routes=[Route("up", "FROM /messages/* INTO $upstream", priority=1)],
    registries={"acme": RegistryCredential(address="acme.example", username="u", password="very-secret-3")},
)
LAYER = Layer(
    name="own-layer", target="tags.quiet = true", priority=20, settings={"sensor": {"limits.low": 3}}, modules=[]
)

COUNTED = {"systemMetrics", "metrics"}
"""Members of a configuration whose results the hub counts anew whenever it evaluates."""


async def imported_items(service: RestHubService, configuration_id: str) -> Any:
    imported = await prepare_import(service, "fleet", "dev", configuration_id)
    names: dict[str, Any] = {}
    exec(imported.program, names)
    stack = Stack("fleet", Environment(name="dev"))
    names["program"](stack)
    return imported, stack.items


@pytest.mark.parametrize("item", [BASE, LAYER])
async def test_labels_are_added_and_nothing_else_changes(
    item: Deployment | Layer, empty: None, service: RestHubService
) -> None:
    await service.put_configuration(item.name, item.to_configuration())
    before = await service.get_configuration(item.name)
    imported = await prepare_import(service, "fleet", "dev", item.name)
    unchanged = await service.get_configuration(item.name)
    assert {name for name in before if before[name] != unchanged[name]} <= COUNTED
    await take_over(service, imported)
    after = await service.get_configuration(item.name)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"labels", "etag", "lastUpdatedTimeUtc"} | COUNTED
    assert after["labels"].items() >= {**item.labels, "edgeyard-name": imported.name}.items()


async def test_the_program_it_gives_previews_no_change(applier: Applier, service: RestHubService) -> None:
    await service.put_configuration(BASE.name, BASE.to_configuration())
    imported, items = await imported_items(service, BASE.name)
    await take_over(service, imported)
    secrets = {
        "SENSOR_API_KEY": "very-secret-1",
        "SENSOR_TOKEN": "very-secret-2",
        "ACME_PASSWORD": "very-secret-3",
        "LABELS_TO": "HostName=h;SharedAccessKey=very-secret-4",
    }
    assert set(imported.secrets) == set(secrets)
    result = await replace(applier, value_of=secrets.__getitem__).up(items)
    assert not result.preview.has_changes, [change.why for change in result.preview.changes]
    assert result.version == 1


async def test_no_secret_is_in_the_program(empty: None, service: RestHubService) -> None:
    await service.put_configuration(BASE.name, BASE.to_configuration())
    imported = await prepare_import(service, "fleet", "dev", BASE.name)
    assert "very-secret" not in str(imported)
    assert 'secret("SENSOR_API_KEY")' in imported.program
    assert "stack.deployment(" in imported.program


async def test_what_is_not_there_or_no_deployment_is_refused(empty: None, service: RestHubService) -> None:
    await service.put_configuration("adm", {"content": {"deviceContent": {"properties.desired.a": 1}}})
    with pytest.raises(ImportRefusedError, match="there is no configuration nothing"):
        await prepare_import(service, "fleet", "dev", "nothing")
    with pytest.raises(ImportRefusedError, match="no deployment to edge devices"):
        await prepare_import(service, "fleet", "dev", "adm")


async def test_what_a_stack_has_already_is_refused(applier: Applier, service: RestHubService) -> None:
    await applier.up({"base": replace(BASE, name="base")})
    await service.put_configuration("base", replace(BASE, name="base", priority=3).to_configuration())
    with pytest.raises(ImportRefusedError, match="'base' of the stack fleet already"):
        await prepare_import(service, "fleet", "dev", "fleet-dev-base-1")
    with pytest.raises(ImportRefusedError, match="has 'base' already: give --name"):
        await prepare_import(service, "fleet", "dev", "base")
    assert (await prepare_import(service, "fleet", "dev", "base", name="other")).name == "other"
