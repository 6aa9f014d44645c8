from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import LayerError
from iot_core.manifest import Merged, merge_layers, parse_manifest

CASES = json.loads((Path(__file__).parent / "layer_cases.json").read_text())["cases"]
GOOD = [pytest.param(case, id=case["id"]) for case in CASES if "error" not in case["expected"]]
BAD = [pytest.param(case, id=case["id"]) for case in CASES if "error" in case["expected"]]


def base(name: str = "base", priority: int = 0, created: int = 1, **twins: Any) -> dict[str, Any]:
    engine = {"type": "docker", "settings": {"image": "engine:1.5"}}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {}},
        "systemModules": {"edgeAgent": engine, "edgeHub": {**engine, "status": "running", "restartPolicy": "always"}},
        "modules": {},
    }
    hub = {"schemaVersion": "1.1", "routes": {}, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}
    return deployment(name, priority, created, {"$edgeAgent": whole(agent), "$edgeHub": whole(hub)} | twins)


def layer(name: str, priority: int, created: int = 2, **modules: Any) -> dict[str, Any]:
    content = {"$edgeAgent": modules.pop("agent", {}), "$edgeHub": modules.pop("hub", {})} | modules
    return deployment(name, priority, created, content)


def deployment(name: str, priority: int, created: int, content: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "priority": priority, "created": created, "modulesContent": content}


def whole(desired: Any) -> dict[str, Any]:
    return {"properties.desired": desired}


def merged(*deployments: dict[str, Any]) -> Merged:
    return merge_layers(deployments)


@pytest.mark.parametrize("case", GOOD)
def test_a_worked_case_gives_its_desired_properties(case: dict[str, Any]) -> None:
    result = merge_layers(case["deployments"])
    assert {
        "applied": result.applied,
        "targeted_only": result.targeted_only,
        "desired": result.desired,
    } == case["expected"]


@pytest.mark.parametrize("case", BAD)
def test_a_worked_case_that_is_an_error_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(LayerError):
        merge_layers(case["deployments"])


@pytest.mark.parametrize("case", GOOD)
def test_the_order_in_which_deployments_are_given_does_not_matter(case: dict[str, Any]) -> None:
    assert merge_layers(reversed(case["deployments"])).desired == case["expected"]["desired"]


@pytest.mark.parametrize("case", GOOD)
def test_what_a_worked_case_gives_is_a_whole_manifest(case: dict[str, Any]) -> None:
    result = merge_layers(case["deployments"])
    manifest = parse_manifest(result.modules_content())
    assert set(manifest.agent.modules) == set(result.desired["$edgeAgent"]["modules"])


def test_merging_changes_nothing_it_was_given() -> None:
    given = [base(sim=whole({"cfg": {"x": 1}})), layer("l", 5, sim={"properties.desired.cfg.x": {"deep": [1]}})]
    before = deepcopy(given)
    result = merge_layers(given)
    result.desired["sim"]["cfg"]["x"]["deep"].append(2)
    assert given == before


def test_of_two_bases_with_one_priority_the_newest_runs() -> None:
    result = merged(base("new", 3, 9, sim=whole({"from": "new"})), base("old", 3, 1, sim=whole({"from": "old"})))
    assert (result.applied, result.targeted_only) == (["new"], ["old"])
    assert result.desired["sim"] == {"from": "new"}


def test_a_sub_section_on_top_of_a_whole_section_is_added_to_it() -> None:
    result = merged(base(), layer("low", 1, sim=whole({"a": 1})), layer("high", 2, sim={"properties.desired.b": 2}))
    assert result.desired["sim"] == {"a": 1, "b": 2}


def test_a_sub_section_of_a_module_that_no_lower_deployment_names_starts_empty() -> None:
    assert merged(base(), layer("l", 1, sim={"properties.desired.a.b": 2})).desired["sim"] == {"a": {"b": 2}}


def test_a_layer_replaces_a_text_route_by_an_object_route() -> None:
    route = {"route": "FROM /* INTO $upstream", "priority": 1}
    low = layer("low", 1, hub={"properties.desired.routes.r": "FROM /messages/* INTO $upstream"})
    high = layer("high", 2, hub={"properties.desired.routes.r": route})
    assert merged(base(), low, high).desired["$edgeHub"]["routes"] == {"r": route}


def test_in_one_layer_the_shorter_key_is_applied_first() -> None:
    both = {"properties.desired.a.b": 2, "properties.desired": {"a": {"c": 1}}}
    assert merged(base(), layer("l", 1, sim=both)).desired["sim"] == {"a": {"c": 1, "b": 2}}


def test_null_in_a_layer_removes_what_lower_deployments_set() -> None:
    removing = layer("l", 1, sim={"properties.desired.a": None})
    assert merged(base(sim=whole({"a": 1, "b": 2})), removing).desired["sim"] == {"b": 2}


@pytest.mark.parametrize(
    ("module", "key"),
    [
        ("agent", "properties.desired.systemModules.edgeHub"),
        ("agent", "properties.desired.runtime"),
        ("agent", "properties.desired.modules"),
        ("hub", "properties.desired"),
        ("hub", "properties.desired.storeAndForwardConfiguration"),
        ("sim", "properties.reported.a"),
        ("sim", "properties.desired..a"),
    ],
)
def test_a_layer_may_not_write_there(module: str, key: str) -> None:
    with pytest.raises(LayerError, match=key):
        merged(base(), layer("l", 1, 2, **{module: {key: {}}}))


def test_a_base_without_system_modules_is_refused_by_the_missing_path() -> None:
    broken = base()
    del broken["modulesContent"]["$edgeAgent"]["properties.desired"]["systemModules"]
    with pytest.raises(LayerError, match=r"systemModules\.edgeAgent: is missing"):
        merged(broken)


def test_equal_priorities_and_deep_paths_are_warned_of() -> None:
    deep = layer("one", 5, agent={"properties.desired.modules.m.env.X.value": "1"})
    result = merged(base(), deep, layer("two", 5, created=3))
    assert ["same priority 5" in warning for warning in result.warnings] == [True, False]
    assert "modules.m.env.X.value reaches below" in result.warnings[1]


def test_the_form_of_iot_hubs_configurations_is_read_too() -> None:
    hubs = {
        "id": "fw",
        "priority": 4,
        "createdTimeUtc": "2026-01-01T00:00:00Z",
        "content": {"modulesContent": base()["modulesContent"]},
    }
    assert merged(hubs).applied == ["fw"]


VALUES = st.integers(0, 3) | st.none() | st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), max_size=2)
LAYERS = st.lists(
    st.dictionaries(
        st.sampled_from(["properties.desired.a", "properties.desired.b", "properties.desired.a.b"]), VALUES, max_size=3
    ),
    min_size=1,
    max_size=5,
)


@given(LAYERS, st.randoms(use_true_random=False))
def test_order_does_not_matter_where_priorities_differ(layers: list[dict[str, Any]], random: Random) -> None:
    """Not even that of their creation."""
    ages = random.sample(range(100), len(layers) + 1)
    deployments = [base(created=ages.pop(), sim=whole({"a": 0}))]
    deployments += [layer(f"l{n}", n + 1, ages.pop(), sim=sections) for n, sections in enumerate(layers)]
    shuffled = random.sample(deployments, len(deployments))
    aged = [{**item, "created": random.randrange(100)} for item in shuffled]
    assert merged(*deployments) == merged(*shuffled) == merged(*aged)
