"""Which deployments each device has, for many devices at once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub_tools.stacks.effective import Candidate, Planner
from hub_tools.stacks.targeting import Targeting, bits
from iot_core.configurations import compile_target

BASE: dict[str, Any] = {
    "$edgeAgent": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {}},
            "systemModules": {"edgeAgent": {}, "edgeHub": {}},
            "modules": {"sensor": {"settings": {"image": "a:1"}}},
        }
    },
    "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
}
LAYER: dict[str, Any] = {"$edgeAgent": {"properties.desired.modules.extra": {"settings": {"image": "b:1"}}}}


def candidate(name: str, priority: int, condition: str, modules: dict[str, Any], **when: bool) -> Candidate:
    times = {"before": True, "after": True, **when}
    return Candidate(id=name, priority=priority, order=priority, condition=condition, modules=modules, **times)


def device(number: int, **tags: Any) -> dict[str, Any]:
    return {"deviceId": f"d{number}", "tags": tags}


def test_devices_that_end_up_alike_are_one_class() -> None:
    twins = [device(n, building="B1" if n % 2 else "B2", room=n) for n in range(10)]
    planner = Planner(
        [
            candidate("base", 10, "*", BASE),
            candidate("layer", 20, "tags.building = 'B1'", LAYER, before=False),
            candidate("old", 20, "tags.building = 'B3'", LAYER),
        ]
    )
    first, second = planner.classes(twins)
    assert (first.count, second.count) == (5, 5)
    changed = first if first.after.applied == ("base", "layer") else second
    assert changed.before.applied == ("base",)
    assert changed.devices == ["d1", "d3", "d5", "d7", "d9"]
    assert set(changed.after.desired["$edgeAgent"]["modules"]) == {"sensor", "extra"}
    assert planner.matched == [10, 5, 0]


def test_without_a_base_nothing_is_applied() -> None:
    (only,) = Planner([candidate("layer", 20, "*", LAYER)]).classes([device(1)])
    assert not only.after.has_base
    assert only.after.targeted_only == ("layer",)


def test_a_layer_not_above_the_base_only_targets() -> None:
    (only,) = Planner([candidate("base", 20, "*", BASE), candidate("layer", 20, "*", LAYER)]).classes([device(1)])
    assert (only.after.applied, only.after.targeted_only) == (("base",), ("layer",))


VALUES = st.one_of(st.sampled_from(["B1", "B2", 1, 1.0, True, None, 3]), st.lists(st.integers(0, 1), max_size=2))
TWINS = st.fixed_dictionaries(
    {"deviceId": st.sampled_from(["d1", "d2", "d3"])},
    optional={
        "tags": st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2),
        "properties": st.fixed_dictionaries({"reported": st.dictionaries(st.sampled_from("ab"), VALUES)}),
    },
)
CONDITIONS = [
    "",
    "*",
    "tags.a = 'B1'",
    "tags.a = 1",
    "tags.a = true",
    "tags.a != 'B1'",
    "NOT tags.a = 'B1'",
    "tags.a IN ['B1', 3] AND tags.b = 'B2'",
    "tags.a > 1 OR deviceId = 'd2'",
    "deviceId IN ['d1', 'd3']",
    "IS_DEFINED(tags.b)",
    "properties.reported.a = tags.a",
    "properties.reported.a.x = 1 OR tags.b = null",
]


@given(st.lists(TWINS, max_size=8))
def test_masks_say_what_each_condition_says_alone(twins: list[dict[str, Any]]) -> None:
    targets = [compile_target(condition) for condition in CONDITIONS]
    targeting = Targeting(targets)
    for twin in twins:
        assert list(bits(targeting.mask(twin))) == [n for n, target in enumerate(targets) if target(twin)]
