"""Previews: what happens to configurations and devices, and what stands in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub_tools.manifests import Deployment, Layer, Module, secret
from hub_tools.stacks.ownership import id_of, labels_of
from hub_tools.stacks.preview import Preview, compute_preview
from hub_tools.stacks.world import World
from iot_core.manifest.findings import Finding, Severity

SENSOR = Module(name="sensor", image="acme/sensor:1")
BASE = Deployment(name="base", target="tags.building = 'B1'", priority=10, modules=[SENSOR])
QUIET = Layer(name="quiet", target="tags.quiet = true", priority=20, settings={"sensor": {"interval": 60}})
TWINS = tuple(
    {"deviceId": f"edge-{n}", "tags": {"building": "B1" if n < 6 else "B2", "quiet": n % 3 == 0}} for n in range(8)
)


def held(item: Deployment | Layer, version: int = 1, **changes: Any) -> dict[str, Any]:
    """The item as the hub holds it."""
    body = item.to_configuration({"KEY": "s3cret"}.__getitem__)
    labels = labels_of("fleet", "dev", item, version)
    system = {"etag": f"e{version}", "createdTimeUtc": f"2026-01-0{version}T00:00:00Z", "systemMetrics": {}}
    return {**body, "id": id_of("fleet", "dev", item.name, version), "labels": labels, **system, **changes}


def preview(*items: Deployment | Layer, hub: tuple[dict[str, Any], ...] = (), **options: Any) -> Preview:
    world = World(host_name="hub", configurations=hub, twins=TWINS)
    return compute_preview("fleet", "dev", {item.name: item for item in items}, world, **options)


def actions(found: Preview) -> dict[str, str]:
    return {change.name: change.action for change in found.changes}


def rules(found: Preview) -> list[str]:
    return [finding.rule for finding in found.errors]


def test_a_new_stack_is_created_on_its_devices() -> None:
    found = preview(BASE, replace(QUIET, target="tags.quiet = true AND tags.building = 'B1'"))
    assert actions(found) == {"base": "create", "quiet": "create"}
    assert found.targeted == {"base": 6, "quiet": 2}
    assert [(item.count, item.after) for item in found.classes] == [
        (4, ("fleet-dev-base-1",)),
        (2, ("fleet-dev-base-1", "fleet-dev-quiet-1")),
        (2, ()),
    ]
    assert found.changed_devices == 6
    assert not found.errors


def test_what_is_there_already_is_kept() -> None:
    found = preview(BASE, hub=(held(BASE),))
    assert actions(found) == {"base": "keep"}
    assert not found.has_changes
    assert found.changed_devices == 0


def test_other_content_comes_as_a_new_configuration_beside_the_old() -> None:
    newer = replace(BASE, modules=[replace(SENSOR, image="acme/sensor:2")])
    (change,) = preview(newer, hub=(held(BASE),)).changes
    assert change.action == "replace"
    assert change.old is not None
    assert change.new is not None
    assert (change.old["id"], change.new["id"]) == ("fleet-dev-base-1", "fleet-dev-base-2")


def test_a_device_sees_why_its_module_restarts() -> None:
    newer = replace(BASE, modules=[replace(SENSOR, image="acme/sensor:2")])
    changed = next(item for item in preview(newer, hub=(held(BASE),)).classes if item.difference)
    (module,) = changed.difference.modules
    assert (changed.count, module.fate) == (6, "restarted")
    assert (module.reasons[0].before, module.reasons[0].after) == ("acme/sensor:1", "acme/sensor:2")


def test_another_target_or_priority_changes_the_configuration_in_place() -> None:
    wider = replace(BASE, target="tags.building IN ['B1', 'B2']", priority=12)
    (change,) = preview(wider, hub=(held(BASE),)).changes
    assert (change.action, change.why) == ("update", ("targetCondition", "priority"))


def test_a_successor_that_was_not_settled_is_settled() -> None:
    found = preview(BASE, hub=(held(BASE, 1), held(BASE, 2, priority=11)))
    assert [(change.action, change.why) for change in found.changes] == [
        ("update", ("priority",)),
        ("delete", ("a newer version is there",)),
    ]


def test_what_the_program_no_longer_declares_is_deleted() -> None:
    found = preview(BASE, hub=(held(BASE), held(QUIET)))
    assert actions(found) == {"base": "keep", "quiet": "delete"}


def test_configurations_of_others_are_left_alone() -> None:
    other = held(QUIET, labels={"owner": "somebody"}, id="theirs")
    device_configuration = {"id": "adm", "content": {"deviceContent": {}}, "priority": 5}
    assert actions(preview(BASE, hub=(held(BASE), other, device_configuration))) == {"base": "keep"}


def test_a_secret_is_compared_by_value() -> None:
    item = replace(BASE, modules=[replace(SENSOR, env={"KEY": secret("KEY")})])
    assert actions(preview(item, hub=(held(item),), value_of={"KEY": "s3cret"}.get)) == {"base": "keep"}
    rotated = preview(item, hub=(held(item),), value_of={"KEY": "new"}.get)
    assert actions(rotated) == {"base": "replace"}
    assert "s3cret" not in str([item.to_json() for item in rotated.classes])


def test_the_fingerprint_moves_when_the_hub_does() -> None:
    first, again = preview(BASE, hub=(held(BASE),)), preview(BASE, hub=(held(BASE),))
    changed = preview(BASE, hub=(held(BASE, etag="other"),))
    assert first.fingerprint == again.fingerprint != changed.fingerprint


def test_bands_that_overlap_are_refused() -> None:
    assert "S01" in rules(preview(BASE, replace(QUIET, priority=11)))


def test_a_foreign_layer_inside_a_band_is_refused() -> None:
    other = held(QUIET, labels={}, id="theirs", priority=20)
    assert "S02" in rules(preview(BASE, QUIET, hub=(held(BASE), other)))


def test_a_hub_that_is_full_is_told() -> None:
    full = tuple({"id": f"c{n}", "content": {"deviceContent": {}}} for n in range(99))
    assert "S03" in rules(preview(BASE, hub=full))


def test_a_target_that_matches_nobody_is_told() -> None:
    found = preview(replace(BASE, target="tags.building = 'B9'"))
    assert [finding.rule for finding in found.findings] == ["S04"]
    assert not found.errors


def test_a_layer_without_a_base_is_refused_with_the_count() -> None:
    found = preview(BASE, QUIET)
    (finding,) = found.errors
    assert (finding.rule, finding.path) == ("S05", "quiet")
    assert finding.message.startswith("1 of its devices")


def test_a_layer_below_a_foreign_base_is_refused() -> None:
    other = held(replace(BASE, target="*"), labels={}, id="theirs", priority=50)
    assert "S06" in rules(preview(QUIET, hub=(other,)))


def test_a_base_that_would_drop_a_layer_is_refused() -> None:
    layer = held(replace(QUIET, target="tags.building = 'B1'"), labels={}, id="theirs", priority=15)
    old = held(BASE)
    assert "S09" in rules(preview(replace(BASE, priority=30), hub=(old, layer)))


def test_devices_that_lose_their_base_are_told() -> None:
    found = preview(replace(BASE, target="tags.building = 'B2'"), hub=(held(BASE),))
    assert [finding.rule for finding in found.findings] == ["S07"]


def test_checks_are_run_on_what_each_class_would_get() -> None:
    contents: list[Any] = []

    def check(content: Any) -> list[Finding]:
        contents.append(content)
        modules = content["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
        return [Finding(rule="X01", severity=Severity.ERROR, path=name, message="no", fix="Stop") for name in modules]

    found = preview(BASE, replace(QUIET, target="tags.building = 'B1' AND tags.quiet = true"), checks=[check])
    assert len(contents) == 2
    assert rules(found) == ["X01"]
