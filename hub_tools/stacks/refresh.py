"""Drift: what others have changed since a version of a stack was applied, in the hub and on devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from hub_tools.manifests import Deployment, Layer
from hub_tools.service import HubService
from hub_tools.stacks.difference import Difference, MaybeValueOf, difference, same
from hub_tools.stacks.effective import Candidate, Planner
from hub_tools.stacks.ownership import VERSION, Owned, is_on_trial, labels_of, owned_by
from hub_tools.stacks.world import World
from iot_core.json_types import JsonObject
from iot_core.manifest.envelope import AGENT, DESIRED, HUB

__all__ = ["ConfigurationDrift", "DeviceDrift", "Drift", "find_drift"]

Items = Mapping[str, Deployment | Layer]
PAGE = 1000
DESIRED_OF_MODULES = "SELECT deviceId, moduleId, properties.desired AS desired FROM devices.modules"
Modules = Mapping[str, JsonObject]
"""Desired properties by module id."""


@dataclass(frozen=True, kw_only=True)
class ConfigurationDrift:
    """`what` is "deleted", "unknown" (it bears the stack's labels, yet was not applied from here), "unfinished", or the
    name of what was changed, with its values.
    """

    id: str
    what: str
    applied: Any = None
    found: Any = None

    def to_json(self) -> JsonObject:
        return {"id": self.id, "what": self.what, "applied": self.applied, "found": self.found}


@dataclass(frozen=True, kw_only=True)
class DeviceDrift:
    """A device that does not have what its deployments give it; `missing` is what would bring it back."""

    device_id: str
    missing: Difference

    def to_json(self) -> JsonObject:
        return {"device": self.device_id, "missing": self.missing.to_json()}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """All of it; false when nothing has drifted."""

    configurations: tuple[ConfigurationDrift, ...]
    devices: tuple[DeviceDrift, ...]

    def __bool__(self) -> bool:
        return bool(self.configurations or self.devices)

    def to_json(self) -> JsonObject:
        return {
            "configurations": [item.to_json() for item in self.configurations],
            "devices": [item.to_json() for item in self.devices],
        }


async def find_drift(
    service: HubService,
    world: World,
    stack: str,
    environment: str,
    items: Items,
    ids: Mapping[str, str],
    *,
    value_of: MaybeValueOf = lambda name: None,
) -> Drift:
    """Compare the hub with what was applied: `items`, and under which `ids`; nothing is changed.

    On devices that the stack's deployments are applied to, the desired properties of the agent, the edge hub and the
    modules are held against what all deployments together give. Of a module whose twin is only set in parts, those
    parts count: the rest is others' to set.
    """
    owned = owned_by(stack, environment, world.configurations)
    configurations = tuple(_configurations(stack, environment, items, ids, owned, world, value_of))
    planner, contents = _planned(items, ids, world)
    actual = await _actual(service, _named_in(contents.values()))
    own = {item.id for group in owned.values() for item in group}
    devices = tuple(_devices(planner, contents, own, world, actual, value_of))
    return Drift(configurations=configurations, devices=devices)


def _named_in(contents: Iterable[JsonObject]) -> list[str]:
    return sorted({AGENT, HUB}.union(*contents))


async def _actual(service: HubService, modules: Sequence[str]) -> dict[str, dict[str, JsonObject]]:
    """Desired properties by device and module, of the modules with these ids."""
    names = ", ".join(f"'{name}'" for name in modules)
    found: dict[str, dict[str, JsonObject]] = {}
    async for row in service.query(f"{DESIRED_OF_MODULES} WHERE moduleId IN [{names}]", page_size=PAGE):
        found.setdefault(row["deviceId"], {})[row["moduleId"]] = _plain(row["desired"])
    return found


def _configurations(
    stack: str,
    environment: str,
    items: Items,
    ids: Mapping[str, str],
    owned: Mapping[str, list[Owned]],
    world: World,
    value_of: MaybeValueOf,
) -> Iterator[ConfigurationDrift]:
    present = {str(item["id"]): item for item in world.configurations}
    for name, configuration_id in ids.items():
        if configuration_id not in present:
            yield ConfigurationDrift(id=configuration_id, what="deleted")
        else:
            yield from _changes(stack, environment, items[name], present[configuration_id], value_of)
    for found in (item for group in owned.values() for item in group):
        if is_on_trial(found.configuration):
            yield ConfigurationDrift(id=found.id, what="unfinished")
        elif found.id not in ids.values():
            yield ConfigurationDrift(id=found.id, what="unknown")


def _changes(
    stack: str, environment: str, item: Deployment | Layer, found: JsonObject, value_of: MaybeValueOf
) -> Iterator[ConfigurationDrift]:
    version = str((found.get("labels") or {}).get(VERSION, ""))
    labels = labels_of(stack, environment, item, int(version) if version.isdecimal() else 0)
    applied: JsonObject = {
        "targetCondition": item.condition,
        "priority": item.priority,
        "labels": labels,
        "metrics": dict(item.metrics),
    }
    for name, value in applied.items():
        held = _field(found, name)
        if held != value:
            applied_part, held_part = _differing(value, held)
            yield ConfigurationDrift(id=found["id"], what=name, applied=applied_part, found=held_part)
    if not same((found.get("content") or {}).get("modulesContent"), item.to_content()["modulesContent"], value_of):
        yield ConfigurationDrift(id=found["id"], what="content")


def _differing(one: Any, other: Any) -> tuple[Any, Any]:
    """Both values, objects without the members that they have in common."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one, other
    return (
        {name: value for name, value in one.items() if name not in other or other[name] != value},
        {name: value for name, value in other.items() if name not in one or one[name] != value},
    )


def _field(found: JsonObject, name: str) -> Any:
    value = found.get(name)
    if name == "metrics":
        return dict((value or {}).get("queries") or {})
    return {"priority": 0, "labels": {}}.get(name, "") if value is None else value


def _planned(items: Items, ids: Mapping[str, str], world: World) -> tuple[Planner, dict[str, JsonObject]]:
    """What gives devices what they have, and the contents of all deployments by id.

    Contents of the stack's own are taken with their references, so that a difference shows no secret.
    """
    found = {str(item["id"]): item for item in world.configurations if _is_deployment(item)}
    own = {ids[name]: item.to_content()["modulesContent"] for name, item in items.items() if name in ids}
    contents = {each: own.get(each) or item["content"]["modulesContent"] for each, item in found.items()}
    return Planner([_candidate(item, contents[each]) for each, item in found.items()]), contents


def _devices(
    planner: Planner,
    contents: Mapping[str, JsonObject],
    own: Set[str],
    world: World,
    actual: Mapping[str, Modules],
    value_of: MaybeValueOf,
) -> Iterator[DeviceDrift]:
    for twin in world.twins:
        effective = planner.now(twin)
        device = twin["deviceId"]
        if not own & set(effective.applied) or device not in actual:
            continue
        applied = [contents[one] for one in effective.applied]
        wanted = effective.desired
        held = {name: _counting(name, actual[device].get(name, {}), wanted[name], applied) for name in wanted}
        missing = difference(held, wanted, value_of)
        if missing:
            yield DeviceDrift(device_id=device, missing=missing)


def _counting(name: str, held: JsonObject, wanted: JsonObject, applied: Iterable[JsonObject]) -> JsonObject:
    """What of a module's desired properties the deployments answer for."""
    whole = any(DESIRED in content.get(name, {}) for content in applied)
    return held if whole else _within(held, wanted)


def _within(held: JsonObject, wanted: JsonObject) -> JsonObject:
    """The parts of `held` that `wanted` has too."""
    return {
        name: _within(held[name], value) if isinstance(value, dict) and isinstance(held[name], dict) else held[name]
        for name, value in wanted.items()
        if name in held
    }


def _is_deployment(configuration: JsonObject) -> bool:
    return bool((configuration.get("content") or {}).get("modulesContent"))


def _candidate(configuration: JsonObject, modules: JsonObject) -> Candidate:
    return Candidate(
        id=str(configuration["id"]),
        priority=int(configuration.get("priority") or 0),
        order=str(configuration.get("createdTimeUtc", "")),
        condition=str(configuration.get("targetCondition") or ""),
        modules=modules,
        before=True,
        after=False,
    )


def _plain(desired: JsonObject) -> JsonObject:
    return {name: value for name, value in (desired or {}).items() if not name.startswith("$")}
