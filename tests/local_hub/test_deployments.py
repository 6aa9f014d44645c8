from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub


def agent(*modules: str) -> dict[str, Any]:
    system = {name: {"type": "docker", "settings": {"image": name}} for name in ("edgeAgent", "edgeHub")}
    return {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": system,
        "modules": {name: {"settings": {"image": f"{name}:1"}} for name in modules},
    }


def base(*modules: str, priority: int = 0, condition: str = "*", **twins: Any) -> dict[str, Any]:
    content = {
        "$edgeAgent": {"properties.desired": agent(*modules)},
        "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
        **{name: {"properties.desired": values} for name, values in twins.items()},
    }
    return {"content": {"modulesContent": content}, "priority": priority, "targetCondition": condition}


def layer(priority: int, modules: tuple[str, ...] = (), condition: str = "*", **twins: Any) -> dict[str, Any]:
    entries = {f"properties.desired.modules.{name}": {"settings": {"image": f"{name}:9"}} for name in modules}
    content = {"$edgeAgent": entries, **twins}
    return {"content": {"modulesContent": content}, "priority": priority, "targetCondition": condition}


@pytest.fixture(autouse=True)
async def edge(hub: Hub) -> None:
    await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None)
    await hub.registry.put_device("leaf", {}, None)


async def deploy(hub: Hub, name: str, body: dict[str, Any], if_match: str | None = None) -> None:
    await hub.configurations.put(name, body, if_match)
    await hub.configurations.settled()


async def undeploy(hub: Hub, name: str) -> None:
    await hub.configurations.delete(name, None)
    await hub.configurations.settled()


def desired(hub: Hub, module_id: str) -> dict[str, Any]:
    values = hub.twins.get(Identity("e1", module_id))["properties"]["desired"]
    return {key: value for key, value in values.items() if not key.startswith("$")}


def statuses(hub: Hub, module_id: str) -> dict[str, str]:
    twin = hub.twins.get(Identity("e1", module_id))
    return {name: entry["status"] for name, entry in twin.get("configurations", {}).items()}


def modules(hub: Hub) -> list[str]:
    return [module["moduleId"] for module in hub.registry.list_modules("e1")]


async def test_a_base_makes_the_modules_it_names_and_writes_their_twins(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5}))
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]
    assert hub.registry.get_module(Identity("e1", "sim"))["managedBy"] == "iotEdge"
    assert desired(hub, "$edgeAgent") == agent("sim")
    assert desired(hub, "sim") == {"rate": 5}
    for module in ("$edgeAgent", "$edgeHub", "sim"):
        assert statuses(hub, module) == {"base": "Applied"}
    assert hub.registry.list_modules("leaf") == []


async def test_a_layer_is_put_on_top_and_taken_off_again(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5}))
    await deploy(hub, "layer", layer(1, ("extra",), sim={"properties.desired.more": {"x": 1}}))
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "extra", "sim"]
    assert desired(hub, "sim") == {"rate": 5, "more": {"x": 1}}
    assert statuses(hub, "$edgeAgent") == {"base": "Applied", "layer": "Applied"}
    await undeploy(hub, "layer")
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]
    assert desired(hub, "sim") == {"rate": 5}
    assert statuses(hub, "$edgeAgent") == {"base": "Applied"}


async def test_of_two_bases_one_is_applied(hub: Hub) -> None:
    await deploy(hub, "low", base("a"))
    await deploy(hub, "high", base("b", priority=5))
    assert set(desired(hub, "$edgeAgent")["modules"]) == {"b"}
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "b"]
    assert statuses(hub, "$edgeAgent") == {"low": "Targeted", "high": "Applied"}
    await undeploy(hub, "high")
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "a"]


async def test_a_layer_that_is_not_above_the_base_is_only_targeted(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", priority=5))
    await deploy(hub, "layer", layer(5, ("extra",)))
    assert statuses(hub, "$edgeAgent") == {"base": "Applied", "layer": "Targeted"}
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]


async def test_a_layer_that_touches_only_module_twins_is_targeted_in_the_agent(hub: Hub) -> None:
    await deploy(hub, "base", base("sim"))
    await deploy(hub, "layer", layer(1, sim={"properties.desired.rate": 9}))
    assert statuses(hub, "$edgeAgent") == {"base": "Applied", "layer": "Targeted"}
    assert statuses(hub, "sim") == {"layer": "Applied"}
    assert desired(hub, "sim") == {"rate": 9}
    await deploy(hub, "layer", layer(1, condition="tags.x = 1", sim={"properties.desired.rate": 9}), "*")
    assert desired(hub, "sim") == {}


async def test_a_layer_without_a_base_waits_for_one(hub: Hub) -> None:
    await deploy(hub, "layer", layer(1, ("extra",)))
    assert statuses(hub, "$edgeAgent") == {"layer": "Targeted"}
    assert modules(hub) == ["$edgeAgent", "$edgeHub"]
    await deploy(hub, "base", base("sim"))
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "extra", "sim"]


async def test_the_last_deployment_leaves_everything_when_it_goes(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5}))
    await undeploy(hub, "base")
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]
    assert (desired(hub, "sim"), statuses(hub, "sim")) == ({"rate": 5}, {})


async def test_a_device_that_is_no_longer_targeted_keeps_its_modules(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5}))
    await deploy(hub, "base", base("sim", condition="tags.x = 1"), "*")
    assert (desired(hub, "sim"), statuses(hub, "$edgeAgent")) == ({"rate": 5}, {})


async def test_an_edge_device_that_comes_later_is_deployed_to(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", condition="tags.site = 'a'"))
    await hub.twins.patch(Identity("e1"), {"tags": {"site": "a"}}, None)
    await hub.configurations.settled()
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]


async def test_connected_modules_hear_only_what_changed(hub: Hub, connect: Any) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5, "limit": 1}))
    link = connect("e1", "sim")
    await deploy(hub, "layer", layer(1, sim={"properties.desired.rate": 9}))
    assert link.pushed == [{"rate": 9, "$version": 3}]


async def test_modules_of_the_owner_stay(hub: Hub) -> None:
    await hub.registry.put_module(Identity("e1", "mine"), {"managedBy": "me"}, None)
    await deploy(hub, "base", base("sim"))
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "mine", "sim"]


async def test_single_device_content_stays_until_a_deployment_is_evaluated_again(hub: Hub, clock: ManualClock) -> None:
    await deploy(hub, "base", base("sim"))
    await hub.configurations.apply_content("e1", base("other")["content"])
    await hub.configurations.settled()
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "other"]
    await deploy(hub, "layer", layer(1))
    assert modules(hub) == ["$edgeAgent", "$edgeHub", "sim"]


async def test_module_configurations_come_on_top_of_deployments(hub: Hub) -> None:
    await deploy(hub, "base", base("sim", sim={"rate": 5}))
    body = {
        "content": {"moduleContent": {"properties.desired.extra": 1}},
        "targetCondition": "from devices.modules where moduleId = 'sim'",
    }
    await deploy(hub, "module", body)
    assert desired(hub, "sim") == {"rate": 5, "extra": 1}
    assert statuses(hub, "sim") == {"base": "Applied", "module": "Applied"}
    await deploy(hub, "layer", layer(1, sim={"properties.desired.more": 2}))
    assert desired(hub, "sim") == {"rate": 5, "extra": 1, "more": 2}


async def test_metrics_of_a_deployment(hub: Hub) -> None:
    await hub.registry.put_device("e2", {"capabilities": {"iotEdge": True}}, None)
    await deploy(hub, "base", base("sim"))
    for device, code in (("e1", 200), ("e2", 400)):
        identity = Identity(device, "$edgeAgent")
        version = hub.twins.get(identity)["properties"]["desired"]["$version"]
        report = {"lastDesiredVersion": version, "lastDesiredStatus": {"code": code}}
        await hub.twins.patch_reported(identity, report, None)
    results = (await hub.configurations.get("base"))["systemMetrics"]["results"]
    assert results == {"targetedCount": 2, "appliedCount": 2, "reportedSuccessfulCount": 1, "reportedFailedCount": 1}


async def test_content_is_applied_to_a_device_one_call_at_a_time(hub: Hub) -> None:
    first = hub.configurations.apply_content("e1", base("sim")["content"])
    second = hub.configurations.apply_content("e1", base("sim")["content"])
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], HubError)
    assert results[1].name == "ApplyConfigurationAlreadyInProgressOnDevice"
