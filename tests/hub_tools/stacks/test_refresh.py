"""Drift: what others changed since a version was applied."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from hub_tools.manifests import Deployment, Layer, Module, Route, secret
from hub_tools.rest import RestHubService
from hub_tools.service import HubService
from hub_tools.stacks.apply import Applier
from hub_tools.stacks.history import read_version
from hub_tools.stacks.operations import amend
from hub_tools.stacks.refresh import Drift, find_drift
from hub_tools.stacks.world import read_world
from iot_core.identity import Identity

ONE = Module(name="sensor", image="acme/sensor:1", env={"CODE": secret("KEY")})
BASE = Deployment(
    name="base",
    target="tags.building = 'B1'",
    priority=10,
    modules=[ONE],
    routes=[Route("up", "FROM /messages/* INTO $upstream")],
    metrics={"all": "SELECT deviceId FROM devices"},
)
QUIET = Layer(name="quiet", target="tags.building = 'B1'", priority=20, settings={"sensor": {"limits.high": 30}})
LAYERED: dict[str, Deployment | Layer] = {
    "base": replace(BASE, modules=[replace(ONE, desired={"interval": 60})]),
    "quiet": QUIET,
}
SENSOR = Identity("e1", "sensor")
ID = "fleet-dev-base-1"


@pytest.fixture
async def applied(applier: Applier, edge_device: Any) -> Applier:
    await edge_device("e1", None)
    await applier.up({"base": BASE})
    return applier


async def index_caught_up(service: HubService) -> None:
    """Return once queries know each module as it is: they lag on a hub that is like Azure's."""
    versions = "SELECT moduleId, properties.desired.$version AS version FROM devices.modules WHERE deviceId = 'e1'"

    async def twins() -> dict[str, int]:
        names = [str(item["moduleId"]) for item in await service.list_modules("e1")]
        found = {name: await service.get_twin(Identity("e1", name)) for name in names}
        return {name: twin["properties"]["desired"]["$version"] for name, twin in found.items()}

    while {row["moduleId"]: row["version"] async for row in service.query(versions)} != await twins():
        await asyncio.sleep(0.05)


async def drift(applier: Applier, number: int = 1) -> Drift:
    version = read_version(applier.folder, number)
    await index_caught_up(applier.service)
    world = await read_world(applier.service, [])
    return await find_drift(applier.service, world, "fleet", "dev", version.items, version.ids)


async def test_what_was_just_applied_has_not_drifted(applied: Applier) -> None:
    assert not await drift(applied)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("priority", 11),
        ("targetCondition", "*"),
        ("metrics", {"queries": {}}),
        ("labels", {"edgeyard-stack": "fleet", "edgeyard-environment": "dev", "edgeyard-name": "base"}),
    ],
)
async def test_what_others_changed_is_named(applied: Applier, service: RestHubService, what: str, value: Any) -> None:
    await amend(service, ID, {what: value})
    (found,) = (await drift(applied)).configurations
    assert (found.id, found.what) == (ID, what)
    assert found.applied != found.found


async def test_a_deleted_configuration_is_named(applied: Applier, service: RestHubService) -> None:
    await service.delete_configuration(ID)
    assert [(item.id, item.what) for item in (await drift(applied)).configurations] == [(ID, "deleted")]


async def test_one_that_was_made_again_with_other_content_is_named(applied: Applier, service: RestHubService) -> None:
    body = await service.get_configuration(ID)
    other = replace(BASE, modules=[replace(ONE, image="acme/sensor:2")]).to_configuration()
    await service.delete_configuration(ID)
    await service.put_configuration(ID, {**other, "id": ID, "labels": body["labels"]})
    assert [(item.id, item.what) for item in (await drift(applied)).configurations] == [(ID, "content")]


async def test_a_copy_with_the_labels_of_the_stack_is_named(applied: Applier, service: RestHubService) -> None:
    labels = (await service.get_configuration(ID))["labels"]
    await service.put_configuration("copy", {**BASE.to_configuration(), "id": "copy", "labels": labels, "priority": 1})
    assert [(item.id, item.what) for item in (await drift(applied)).configurations] == [("copy", "unknown")]


async def test_a_device_with_modules_of_its_own_is_named_without_secrets(
    applied: Applier, service: RestHubService, passing_time: threading.Event
) -> None:
    other = replace(BASE, modules=[replace(ONE, image="acme/own:1")], routes=[])
    passing_time.set()  # the next evaluation would mend it
    await service.apply_configuration_content("e1", other.to_content(lambda name: "another-secret"))
    found = await drift(applied)
    (device,) = found.devices
    assert device.device_id == "e1"
    (module,) = device.missing.modules
    assert module.fate == "restarted"
    assert {reason.path: reason.after for reason in module.reasons}["settings.image"] == "acme/sensor:1"
    assert [route.path for route in device.missing.routes] == ["up"]
    assert "another-secret" not in str(found.to_json())
    assert "s3cret-value" not in str(found.to_json())


async def test_an_agent_whose_twin_was_patched_is_named(
    applied: Applier, service: RestHubService, passing_time: threading.Event
) -> None:
    patch = {"properties": {"desired": {"modules": {"sensor": {"status": "stopped"}}}}}
    passing_time.set()  # the next evaluation would mend it
    await service.patch_twin(Identity("e1", "$edgeAgent"), patch)
    ((change,),) = [device.missing.modules for device in (await drift(applied)).devices]
    assert (change.name, change.fate) == ("sensor", "started")


async def test_desired_properties_that_somebody_else_set_are_named(
    applied: Applier, edge_device: Any, service: RestHubService, passing_time: threading.Event
) -> None:
    await applied.up(LAYERED)
    passing_time.set()  # the next evaluation would mend it
    await service.patch_twin(SENSOR, {"properties": {"desired": {"interval": 5, "extra": {"a": 1}}}})
    (device,) = (await drift(applied, 2)).devices
    assert {change.path: (change.before, change.after) for change in device.missing.twins} == {
        "sensor.interval": (5, 60),
        "sensor.extra": ({"a": 1}, None),
    }


async def test_of_a_twin_that_a_layer_sets_in_part_only_that_part_counts(
    applied: Applier, service: RestHubService, passing_time: threading.Event
) -> None:
    await applied.up({"base": BASE, "quiet": QUIET})
    passing_time.set()  # the next evaluation would mend it
    await service.patch_twin(SENSOR, {"properties": {"desired": {"theirs": 1}}})
    assert not await drift(applied, 2)
    await service.patch_twin(SENSOR, {"properties": {"desired": {"limits": None}}})
    (device,) = (await drift(applied, 2)).devices
    assert [(change.path, change.after) for change in device.missing.twins] == [("sensor.limits", {"high": 30})]
