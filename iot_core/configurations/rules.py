"""What a set of configurations makes of a device and its modules.

Device and module configurations: all that match a twin take effect in the order of their priority, of equals the newest
last; where two name the same path, or one a path above the other's, the higher wins there. One that wins nowhere is
Targeted, every other Applied. Deployments: see iot_core.manifest.layers; module configurations come on top of them.
What a configuration wrote is taken back when it exists and no longer matches; nothing is taken back when it is deleted,
nor from an edge device that no base deployment targets any more.

Source: IoT Hub documentation, "Automatic device and module management using the Azure portal"; IoT Edge documentation,
"Understand IoT Edge automatic deployments".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iot_core.configurations.content import Setting, agent_modules, settings_of, with_settings, without_settings
from iot_core.configurations.model import Configuration
from iot_core.configurations.target import DEVICES, MODULES
from iot_core.json_types import JsonObject
from iot_core.manifest import Deployment, Merged, is_base, merge_layers
from iot_core.manifest.envelope import AGENT

__all__ = ["APPLIED", "TARGETED", "Matches", "Rules", "TwinPlan"]

APPLIED = "Applied"
TARGETED = "Targeted"

Ids = tuple[str, ...]
_LAYERS_ONLY = Merged(applied=[], targeted_only=[], desired={}, warnings=[])


@dataclass(frozen=True, kw_only=True, slots=True)
class Matches:
    """The configurations that a device's twin satisfies, by id, sorted: those for its twin, and its deployments."""

    configurations: Ids = ()
    deployments: Ids = ()


@dataclass(frozen=True, kw_only=True)
class TwinPlan:
    """What one twin is to hold.

    ``statuses`` is its ``configurations`` map; ``document``, unless None, replaces its desired properties before
    ``settings`` are written over them, one after another.
    """

    statuses: JsonObject
    settings: list[Setting]
    document: JsonObject | None = None

    def values(self, current: JsonObject, gone: list[Setting]) -> JsonObject:
        """The desired properties that follow from ``current``; ``gone`` are settings to be taken back first."""
        values = without_settings(current, gone) if self.document is None else self.document
        return with_settings(values, self.settings)


class Rules:
    """A fixed set of configurations; plans are computed once for each combination of them."""

    def __init__(self, configurations: Iterable[Configuration]) -> None:
        self._all = {item.id: item for item in configurations}
        self._plans: dict[tuple[str, Ids, Ids], TwinPlan] = {}
        self._merged: dict[Ids, Merged | None] = {}
        self._matches: dict[tuple[Ids, bool], Matches] = {}

    @property
    def configurations(self) -> Mapping[str, Configuration]:
        """By id."""
        return self._all

    @cached_property
    def for_devices(self) -> tuple[Configuration, ...]:
        """Those whose target condition is about devices, by id."""
        return self._about(DEVICES)

    @cached_property
    def for_modules(self) -> tuple[Configuration, ...]:
        """Those whose target condition is about modules, by id."""
        return self._about(MODULES)

    def matches_of_device(self, twin: JsonObject, iot_edge: bool) -> Matches:
        """What a device's twin satisfies; deployments only count for edge devices."""
        return self.split(tuple(item.id for item in self.for_devices if item.target(twin)), iot_edge)

    def matches_of_module(self, twin: JsonObject) -> Ids:
        """The configurations that a module's twin satisfies."""
        return tuple(item.id for item in self.for_modules if item.target(twin))

    def split(self, ids: Ids, iot_edge: bool) -> Matches:
        """Ids of configurations about devices, sorted, as ``Matches``."""
        if (ids, iot_edge) not in self._matches:
            self._matches[ids, iot_edge] = Matches(
                configurations=tuple(one for one in ids if not self._is_deployment(one)),
                deployments=tuple(one for one in ids if iot_edge and self._is_deployment(one)),
            )
        return self._matches[ids, iot_edge]

    def plan(self, module_id: str, configurations: Ids, deployments: Ids = ()) -> TwinPlan:
        """The plan for a device's twin (module id "") or one of its modules' twins."""
        key = module_id, configurations, deployments
        if key not in self._plans:
            self._plans[key] = self._planned(module_id, configurations, deployments)
        return self._plans[key]

    def modules_named(self, deployments: Ids) -> set[str] | None:
        """The modules that an edge device is to have by its deployments; None when they leave its modules alone."""
        merged = self._merge(deployments)
        if merged is None:
            return None
        return {*merged.desired, *agent_modules(merged.desired.get(AGENT, {}))}

    def gone(self, module_id: str, before: Mapping[str, Any], plan: TwinPlan, deployments: Ids = ()) -> list[Setting]:
        """What has to be taken back from a twin whose ``configurations`` map was ``before``."""
        settings: list[Setting] = []
        for one, entry in before.items():
            if one in plan.statuses or one not in self._all or entry.get("status") != APPLIED:
                continue
            if not self._is_deployment(one) or self._merge(deployments) is not None:
                settings += self._settings(self._all[one], module_id)
        return settings

    def _about(self, collection: str) -> tuple[Configuration, ...]:
        return tuple(
            self._all[one]
            for one in sorted(self._all)
            if self._all[one].target.condition is not None and self._all[one].target.collection == collection
        )

    def _is_deployment(self, configuration_id: str) -> bool:
        return self._all[configuration_id].content.kind == "modulesContent"

    def _settings(self, item: Configuration, module_id: str) -> list[Setting]:
        sections = item.content.sections
        return settings_of(sections.get(module_id, {}) if item.content.kind == "modulesContent" else sections)

    def _planned(self, module_id: str, configurations: Ids, deployments: Ids) -> TwinPlan:
        ranked = sorted((self._all[one] for one in configurations), key=lambda item: item.rank)
        settings, applied = _partial([(item.id, self._settings(item, module_id)) for item in ranked])
        statuses = {item.id: APPLIED if item.id in applied else TARGETED for item in ranked}
        statuses |= self._deployment_statuses(module_id, deployments)
        merged = self._merge(deployments)
        return TwinPlan(
            statuses={one: {"status": statuses[one]} for one in sorted(statuses)},
            settings=settings,
            document=_document(merged, module_id),
        )

    def _deployment_statuses(self, module_id: str, deployments: Ids) -> dict[str, str]:
        """$edgeAgent tells of every deployment that targets the device, other modules of those that name them."""
        merged = self._merge(deployments) or _LAYERS_ONLY
        statuses = {}
        for one in deployments:
            sections = self._all[one].content.sections.get(module_id)
            if sections and one in merged.applied:
                statuses[one] = APPLIED
            elif sections or module_id == AGENT:
                statuses[one] = TARGETED
        return statuses

    def _merge(self, deployments: Ids) -> Merged | None:
        """The deployments on top of each other; None without a base."""
        if deployments not in self._merged:
            items = [self._all[one] for one in deployments]
            has_base = any(is_base(item.content.sections) for item in items)
            self._merged[deployments] = merge_layers(map(_deployment, items)) if has_base else None
        return self._merged[deployments]


def _deployment(item: Configuration) -> Deployment:
    return Deployment(name=item.id, priority=item.priority, created=item.order, modules=item.content.sections)


def _document(merged: Merged | None, module_id: str) -> JsonObject | None:
    if merged is None or module_id not in merged.desired:
        return None
    return with_settings({}, [((), merged.desired[module_id])])


def _partial(ranked: list[tuple[str, list[Setting]]]) -> tuple[list[Setting], set[str]]:
    """The settings that win, in the order to write them, and the ids of which any won; ``ranked`` is lowest first."""
    claimed: set[tuple[str, ...]] = set()
    won: list[list[Setting]] = []
    winners: set[str] = set()
    for one, settings in reversed(ranked):
        kept = [(path, value) for path, value in settings if not _is_claimed(path, claimed)]
        claimed |= {path for path, _ in kept}
        won.append(kept)
        if kept:
            winners.add(one)
    return [setting for kept in reversed(won) for setting in kept], winners


def _is_claimed(path: tuple[str, ...], claimed: set[tuple[str, ...]]) -> bool:
    return any(path[:length] in claimed for length in range(len(path) + 1))
