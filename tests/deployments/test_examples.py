"""The stack of deployments/: what devices with which tags get from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from device.settings import SettingsSession, TwinSettings
from hub_tools.manifests import Module
from hub_tools.stacks.opening import OpenedStack, open_stack
from hub_tools.stacks.preview import ClassPreview, Preview, compute_preview
from hub_tools.stacks.world import World
from iot_core.manifest.findings import Severity
from modules.aggregator.settings import AggregatorSettings
from modules.scorer.settings import ScorerSettings
from modules.sentiment.settings import SentimentSettings
from modules.trigger.settings import TriggerSettings

FILE = Path(__file__).resolve().parents[2] / "deployments" / "stack.py"
EVERYTHING = dict.fromkeys(("texts", "temperatures", "faces", "gpu", "windows", "alerts"), True)


def opened(environment: str = "dev") -> OpenedStack:
    return open_stack(FILE, environment, home=Path("/nonexistent"))


def preview(*tags: dict[str, Any]) -> Preview:
    stack = opened()
    twins = tuple({"deviceId": f"d{n}", "tags": {"environment": "dev", **each}} for n, each in enumerate(tags))
    world = World(host_name="hub", configurations=(), twins=twins)
    return compute_preview(stack.name, "dev", stack.stack.items, world, checks=stack.checks)


def added(item: ClassPreview) -> set[str]:
    return {change.name for change in item.difference.modules} - {"edgeAgent", "edgeHub"}


def module(layer: str, name: str, environment: str = "dev") -> Module:
    return next(each for each in opened(environment).stack.items[layer].modules if each.name == name)


def test_each_ability_brings_its_modules() -> None:
    found = preview({}, {"texts": True}, {"temperatures": True}, EVERYTHING)
    assert {item.devices: added(item) for item in found.classes} == {
        ("d0",): {"replay"},
        ("d1",): {"replay", "sentiment", "sentiment-container"},
        ("d2",): {"replay", "scorer"},
        ("d3",): {"replay", "sentiment", "sentiment-container", "scorer", "emotion", "aggregator", "trigger"},
    }


def test_nothing_stands_in_the_way_of_it() -> None:
    found = preview(EVERYTHING)
    assert [finding for finding in found.findings if finding.severity is not Severity.INFO] == []


def test_the_emotion_container_is_bound_from_5002_on_the_host_to_5001() -> None:
    (binding,) = module("emotion", "emotion").options.port_bindings
    assert (binding.host_port, binding.container_port) == ("5002", 5001)


def test_a_gpu_runs_the_scorers_other_image_with_all_gpus() -> None:
    accelerated = module("gpu", "scorer")
    assert accelerated.image.endswith("-gpu.amd64")
    assert accelerated.options.device_requests[0]["Count"] == -1
    assert accelerated.options.port_bindings == module("scorer", "scorer").options.port_bindings


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sentiment", SentimentSettings),
        ("scorer", ScorerSettings),
        ("emotion", ScorerSettings),
        ("aggregator", AggregatorSettings),
        ("trigger", TriggerSettings),
    ],
)
def test_each_module_takes_the_settings_that_its_layer_gives(name: str, settings: type[TwinSettings]) -> None:
    desired = module(name, name).desired
    assert desired is not None
    session = SettingsSession(settings)
    answers = session.apply({**desired, "$version": 1}).reported
    assert {key: answers[key]["ac"] for key in desired} == dict.fromkeys(desired, 200)


@pytest.mark.parametrize(("name", "variable"), [("aggregator", "AGGREGATOR_STATE"), ("trigger", "TRIGGER_DATA")])
def test_what_a_module_keeps_on_disk_outlives_its_container(name: str, variable: str) -> None:
    dockerfile = (FILE.parents[1] / "modules" / name / "Dockerfile.amd64").read_text()
    [folder] = re.findall(rf"^ENV {variable}=(\S+)$", dockerfile, re.MULTILINE)
    assert module(name, name).options.document["HostConfig"]["Binds"] == [f"{name}:{folder}"]


def test_production_has_its_own_hub_registry_and_vault() -> None:
    production = opened("prod")
    assert (production.environment.hub, production.environment.secrets) == ("production", "keyvault:edgeyard-secrets")
    assert module("scorer", "scorer", "prod").image.startswith("acme.azurecr.io/edgeyard/scorer:")
