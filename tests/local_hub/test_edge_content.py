from __future__ import annotations

from typing import Any

import pytest

from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub

AGENT = {"schemaVersion": "1.1", "modules": {"sim": {"type": "docker"}}}
CONTENT = {
    "modulesContent": {
        "$edgeAgent": {"properties.desired": AGENT},
        "$edgeHub": {"properties.desired": {"routes": {}}},
        "sim": {"properties.desired": {"rate": 5}},
    }
}


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


@pytest.fixture(autouse=True)
async def edge(hub: Hub) -> None:
    await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None)


def desired(hub: Hub, module_id: str) -> dict[str, Any]:
    values = hub.twins.get(Identity("e1", module_id))["properties"]["desired"]
    return {key: value for key, value in values.items() if not key.startswith("$")}


def modules(hub: Hub) -> list[str]:
    return [module["moduleId"] for module in hub.registry.list_modules("e1")]


async def test_content_makes_module_identities_and_writes_their_desired_properties(hub: Hub) -> None:
    await hub.configurations.apply_content("e1", CONTENT)
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]
    made = hub.registry.get_module(Identity("e1", "sim"))
    assert (made["managedBy"], made["authentication"]["type"]) == ("iotEdge", "none")
    assert desired(hub, "$edgeAgent") == AGENT
    assert desired(hub, "sim") == {"rate": 5}


async def test_connected_modules_hear_what_changed(hub: Hub, connect: Any) -> None:
    await hub.configurations.apply_content("e1", CONTENT)
    link = connect("e1", "sim")
    content = {"modulesContent": {**CONTENT["modulesContent"], "sim": {"properties.desired": {"limit": {"low": 1}}}}}
    await hub.configurations.apply_content("e1", content)
    assert link.pushed == [{"rate": None, "limit": {"low": 1}, "$version": 3}]


async def test_modules_that_are_no_longer_named_go_but_those_of_others_stay(hub: Hub, connect: Any) -> None:
    await hub.registry.put_module(Identity("e1", "mine"), {"managedBy": "me"}, None)
    await hub.configurations.apply_content("e1", CONTENT)
    link = connect("e1", "sim")
    await hub.configurations.apply_content("e1", {"modulesContent": {"$edgeAgent": {"properties.desired": {}}}})
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "mine"]
    assert len(link.closed) == 1


async def test_a_layer_keeps_what_it_does_not_name(hub: Hub) -> None:
    await hub.configurations.apply_content("e1", CONTENT)
    layer = {"$edgeAgent": {"properties.desired.modules.extra": {"type": "docker"}}}
    await hub.configurations.apply_content("e1", {"modulesContent": layer})
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "extra", "sim"]
    assert set(desired(hub, "$edgeAgent")["modules"]) == {"sim", "extra"}


async def test_content_that_cannot_be_is_refused_and_nothing_is_written(hub: Hub) -> None:
    before = modules(hub)
    device = {"deviceContent": {"properties.desired.a": 1}}
    bodies: tuple[dict[str, Any], ...] = ({}, {"modulesContent": {"sim": {}}}, {**CONTENT, **device})
    for body in bodies:
        with refusal("InvalidConfigurationContent"):
            await hub.configurations.apply_content("e1", body)
    broken = {"modulesContent": {**CONTENT["modulesContent"], "sim": {"properties.desired": {"a": [None]}}}}
    with refusal("ArgumentInvalid"):
        await hub.configurations.apply_content("e1", broken)
    assert modules(hub) == before


async def test_only_edge_devices_take_content(hub: Hub) -> None:
    await hub.registry.put_device("d1", {}, None)
    with pytest.raises(HubError, match="Not an Azure IoT Edge device"):
        await hub.configurations.apply_content("d1", CONTENT)
    with refusal("DeviceNotFound"):
        await hub.configurations.apply_content("nobody", CONTENT)
