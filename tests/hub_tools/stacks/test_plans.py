"""Plans: previews as files; and what holds for previews of many classes of devices."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_tools.manifests import Deployment, Layer, Module, secret
from hub_tools.stacks import preview as previews
from hub_tools.stacks.effective import Candidate, Planner
from hub_tools.stacks.ownership import id_of, labels_of
from hub_tools.stacks.preview import Preview, compute_preview
from hub_tools.stacks.world import World
from iot_core.errors import InputError
from iot_core.manifest import merge_layers
from iot_core.manifest.findings import Finding, Severity

SENSOR = Module(name="sensor", image="acme/sensor:1", env={"KEY": secret("KEY")})
BASE = Deployment(name="base", target="*", priority=10, modules=[SENSOR])
QUIET = Layer(name="quiet", target="tags.quiet = true", priority=20, settings={"sensor": {"interval": 60}})


def held(item: Deployment | Layer) -> dict[str, Any]:
    """The item as the hub holds it, its secret with a value."""
    body = item.to_configuration(lambda name: "s3cret")
    labels = labels_of("fleet", "dev", item, 1)
    return {**body, "id": id_of("fleet", "dev", item.name, 1), "labels": labels, "etag": "1"}


def preview(
    *items: Deployment | Layer, tags: list[dict[str, Any]], hub: list[Any] | None = None, **more: Any
) -> Preview:
    twins = tuple({"deviceId": f"edge-{number}", "tags": each} for number, each in enumerate(tags))
    world = World(host_name="hub", configurations=tuple(hub or ()), twins=twins)
    return compute_preview("fleet", "dev", {item.name: item for item in items}, world, **more)


def test_a_plan_is_read_as_it_was_written() -> None:
    newer = replace(BASE, modules=[replace(SENSOR, image="acme/sensor:2")])
    plan = preview(newer, QUIET, tags=[{"quiet": True}, {}], hub=[held(BASE)])
    text = json.dumps(plan.to_json())
    assert Preview.from_json(json.loads(text)).to_json() == plan.to_json()
    assert Preview.from_json(json.loads(text)).classes == plan.classes


def test_no_secret_is_in_a_plan() -> None:
    gone = preview(QUIET, tags=[{}], hub=[held(BASE)], value_of=lambda name: "s3cret")
    newer = replace(BASE, modules=[replace(SENSOR, env={"KEY": f"v2-{secret('KEY')}"})])
    changed = preview(newer, tags=[{}], hub=[held(BASE)], value_of=lambda name: "s3cret")
    assert "s3cret" not in json.dumps([gone.to_json(), changed.to_json()])


@pytest.mark.parametrize("document", [{}, [], {"version": 2}, {"version": 1}, {"version": 1, "stack": 3, "changes": 4}])
def test_what_is_no_plan_is_refused(document: Any) -> None:
    with pytest.raises(InputError, match="plan"):
        Preview.from_json(document)


def test_devices_that_end_up_alike_are_one_class_by_whatever_layers() -> None:
    again = replace(QUIET, name="again", target="tags.again = true", priority=30)
    found = preview(BASE, QUIET, again, tags=[{"quiet": True}, {"quiet": True, "again": True}, {"again": True}, {}])
    assert [(item.count, item.devices) for item in found.classes] == [
        (3, ("edge-0", "edge-1", "edge-2")),
        (1, ("edge-3",)),
    ]


def test_of_very_many_classes_the_largest_are_checked_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "CHECKED_MAX", 1)
    checked: list[Any] = []

    def check(document: Any) -> list[Finding]:
        checked.append(document)
        return []

    found = preview(BASE, QUIET, tags=[{}, {}, {"quiet": True}], checks=[check])
    assert len(checked) == 1
    (told,) = [finding for finding in found.findings if finding.rule == "S10"]
    assert (told.severity, told.message[:21]) == (Severity.INFO, "1 small classes of de")


LAYERS = st.fixed_dictionaries(
    {},
    optional={
        "$edgeAgent": st.dictionaries(
            st.sampled_from(["properties.desired.modules.a", "properties.desired.modules.b"]),
            st.sampled_from([{"n": 1}, {"n": 2}, None]),
        ),
        "a": st.dictionaries(
            st.sampled_from(["properties.desired", "properties.desired.x", "properties.desired.x.y"]),
            st.sampled_from([{"x": {"y": 1}}, {}]),
        ),
    },
)


@given(st.lists(st.tuples(LAYERS, st.integers(0, 5), st.booleans()), max_size=5))
def test_the_planner_merges_as_the_hub_does(layers: list[tuple[dict[str, Any], int, bool]]) -> None:
    base = BASE.to_content()["modulesContent"]
    candidates = [Candidate(id="base", priority=2, order=0, condition="*", modules=base, before=True, after=True)]
    for number, (modules, priority, targeted) in enumerate(layers):
        content = {"$edgeAgent": {}, **modules}
        condition = "*" if targeted else ""
        candidates.append(
            Candidate(
                id=f"l{number}", priority=priority, order=number + 1, condition=condition, modules=content,
                before=True, after=True,
            )
        )  # fmt: skip
    (found,) = Planner(candidates).classes([{"deviceId": "d", "tags": {}}])
    merged = merge_layers(
        {"name": item.id, "priority": item.priority, "created": item.order, "modulesContent": item.modules}
        for item in candidates
        if item.condition
    )
    assert found.after.applied == tuple(merged.applied)
    assert found.after.targeted_only == tuple(merged.targeted_only)
    assert found.after.desired == merged.desired
    assert found.after.warnings == tuple(merged.warnings)
