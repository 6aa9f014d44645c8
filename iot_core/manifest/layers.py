"""Layered deployments: what several deployments that target one device become on it.

A device runs one base: the one with the highest priority, of equals the newest. Every layer with a priority above the
base's is applied on top, lowest first, of equals the oldest first. In a layer the key "properties.desired" replaces the
whole section of a module, "properties.desired.a.b" sets the value at a.b and leaves the rest. Everything else that
targets the device is only targeted.
Source: IoT Edge documentation, "Understand IoT Edge automatic deployments for single devices or at scale" (layered
deployment).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from iot_core.errors import LayerError, ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, desired_path, is_base, modules_content

__all__ = ["Deployment", "Merged", "apply_over", "doubts", "merge_layers", "rank"]

_REQUIRED_OF_A_BASE = (
    (AGENT, ("schemaVersion",)),
    (AGENT, ("runtime",)),
    (AGENT, ("systemModules", "edgeAgent")),
    (AGENT, ("systemModules", "edgeHub")),
    (HUB, ("schemaVersion",)),
)
_LAYER_PATHS = {AGENT: "modules", HUB: "routes"}
"""The one part of each system module's desired properties that a layer may write, by name below it."""
_CREDENTIALS = ["runtime", "settings", "registryCredentials"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A deployment that targets the device; `created` sorts by age: a number, or ISO 8601 text."""

    name: str
    priority: int
    created: float | str
    modules: JsonObject

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Deployment:
        """From {"name", "priority", "created", "modulesContent"}, or IoT Hub's own form with "id", "createdTimeUtc"
        and "content". A "kind" of "base" or "layered" is checked against the content. Raises LayerError.
        """
        name = str(document.get("name", document.get("id", "")))
        priority = document.get("priority", 0)
        if not isinstance(priority, int) or isinstance(priority, bool) or priority < 0:
            raise LayerError("must be a whole number, 0 or above", path=f"{name}.priority")
        created = document.get("created", document.get("createdTimeUtc", 0))
        if not isinstance(created, int | float | str):
            raise LayerError("must be a number or ISO 8601 text", path=f"{name}.created")
        try:
            modules = modules_content(document)
        except ManifestError as error:
            raise LayerError(str(error), path=name) from None
        deployment = cls(name=name, priority=priority, created=created, modules=modules)
        deployment.check(document.get("kind"))
        return deployment

    @property
    def is_base(self) -> bool:
        return is_base(self.modules)

    def check(self, kind: str | None = None) -> None:
        """Raises LayerError when IoT Hub would refuse it, or when it is not of the `kind` it is said to be."""
        if AGENT not in self.modules:
            raise LayerError(f'needs "{AGENT}", even if only as "{AGENT}": {{}}', path=f"{self.name}.modulesContent")
        if self.is_base:
            self._check_base(kind)
        elif kind == "base":
            raise LayerError(f"a base needs '{DESIRED}'", path=f"{self.name}.modulesContent.{AGENT}")
        else:
            self._check_layer()

    def _check_base(self, kind: str | None) -> None:
        if kind == "layered":
            raise LayerError(
                f"'{DESIRED}' makes it a base: a layer uses '{DESIRED}.modules.<module>'",
                path=f"{self.name}.modulesContent.{AGENT}",
            )
        for module, path in _REQUIRED_OF_A_BASE:
            if _get(self.modules.get(module, {}).get(DESIRED), path) is None:
                where = f"{self.name}.modulesContent.{module}.{DESIRED}.{'.'.join(path)}"
                raise LayerError("is missing: a base deployment needs it", path=where)

    def _check_layer(self) -> None:
        for module, part in _LAYER_PATHS.items():
            for key in self.modules.get(module, {}):
                path = desired_path(key)
                allowed = (len(path) >= 2 and path[0] == part) or (module == AGENT and path[:3] == _CREDENTIALS)
                if not allowed:
                    where = f"{self.name}.modulesContent.{module}.{key}"
                    raise LayerError(f"a layer may write only '{DESIRED}.{part}.<name>' here", path=where)


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """What a device gets: the names of deployments that are `applied` (base first, then layers from low to high) and
    of those that are `targeted_only`; `desired` properties by module id; `warnings` on what is legal but doubtful.
    """

    applied: list[str]
    targeted_only: list[str]
    desired: dict[str, JsonObject]
    warnings: list[str]

    def modules_content(self) -> JsonObject:
        """The result as the content of one deployment, which `parse_manifest` reads."""
        return {"modulesContent": {module: {DESIRED: desired} for module, desired in self.desired.items()}}


def merge_layers(deployments: Iterable[Deployment | Mapping[str, Any]]) -> Merged:
    """What the deployments that target one device become on it.

    Mappings are read by `Deployment.from_dict`. Nothing given is changed or shared. Raises LayerError when one of them
    would be refused and when there is no base.
    """
    known = [item if isinstance(item, Deployment) else Deployment.from_dict(item) for item in deployments]
    ranked = sorted(known, key=rank)
    bases = [deployment for deployment in ranked if deployment.is_base]
    if not bases:
        raise LayerError("no base deployment targets the device: layers need one, so nothing is applied")
    base = bases[-1]
    layers = [item for item in ranked if not item.is_base and item.priority > base.priority]
    applied = [base, *layers]
    desired: dict[str, JsonObject] = {}
    for deployment in applied:
        desired = apply_over(desired, deployment.modules)
    return Merged(
        applied=[item.name for item in applied],
        targeted_only=[item.name for item in ranked if not any(item is other for other in applied)],
        desired=deepcopy(desired),
        warnings=doubts(layers),
    )


def doubts(layers: list[Deployment]) -> list[str]:
    """What is legal but doubtful about layers that are applied together, lowest first."""
    return [*_equal_priorities(layers), *_deep_paths(layers)]


def rank(deployment: Deployment) -> tuple[int, bool, Any]:
    return deployment.priority, isinstance(deployment.created, str), deployment.created


def apply_over(desired: Mapping[str, JsonObject], modules: JsonObject) -> dict[str, JsonObject]:
    """Desired properties by module id with a base or a layer over them.

    Nothing given is changed, but the result shares with it what stays the same: whoever changes it copies it first.
    """
    result = dict(desired)
    for module, sections in modules.items():
        for key in sorted(sections, key=lambda key: key.count(".")):
            path = desired_path(key)
            result[module] = _with(result.get(module), path, sections[key]) if path else sections[key]
    return result


def _with(document: Any, path: list[str], value: Any) -> JsonObject:
    """The document with the value at a path, objects made on the way; None removes it, as in a twin patch."""
    result = dict(document) if isinstance(document, dict) else {}
    name, *rest = path
    if rest:
        result[name] = _with(result.get(name), rest, value)
    elif value is None:
        result.pop(name, None)
    else:
        result[name] = value
    return result


def _get(document: Any, path: Iterable[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _equal_priorities(layers: list[Deployment]) -> list[str]:
    return [
        f"layers {low.name} and {high.name} have the same priority {high.priority}: where they meet the newer one "
        "should win, but users have seen IoT Hub mix them"
        for low, high in pairwise(layers)
        if low.priority == high.priority
    ]


def _deep_paths(layers: list[Deployment]) -> list[str]:
    return [
        f"layer {layer.name}: {module} {key} reaches below one named part, which the documentation does not describe"
        for layer in layers
        for module, sections in layer.modules.items()
        for key in sections
        if len(desired_path(key)) > (2 if module in _LAYER_PATHS else 1)
    ]
