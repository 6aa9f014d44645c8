"""What each edge device runs by a set of deployments, for all devices at once; those that end up alike are a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub_tools.stacks.targeting import Targeting, bits
from iot_core.configurations import compile_target
from iot_core.json_types import JsonObject
from iot_core.manifest import Deployment, Merged, is_base, merge_layers

__all__ = ["Candidate", "DeviceClass", "Effective", "Planner"]

SHOWN_DEVICES = 5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A deployment that is in force before, after, or both; `order` is its age, the higher the newer."""

    id: str
    priority: int
    order: float | str
    condition: str
    modules: JsonObject
    before: bool
    after: bool

    @property
    def is_base(self) -> bool:
        return is_base(self.modules)


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What a device gets: the ids of the deployments that are applied, base first, those that only target it, and the
    desired properties by module id. Without a base everything is empty, and the device keeps what it has.
    """

    applied: tuple[str, ...] = ()
    targeted_only: tuple[str, ...] = ()
    desired: Mapping[str, JsonObject] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def has_base(self) -> bool:
        return bool(self.applied)


@dataclass(kw_only=True)
class DeviceClass:
    """Devices that have the same now and would have the same afterwards."""

    before: Effective
    after: Effective
    count: int = 0
    devices: list[str] = field(default_factory=list)
    """Some of them, as examples."""


class Planner:
    """Sorts devices into classes; each combination of deployments is merged once."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._targeting = Targeting([compile_target(item.condition) for item in candidates])
        self._before = _mask_of(item.before for item in candidates)
        self._after = _mask_of(item.after for item in candidates)
        self._merged: dict[int, Effective] = {}
        self.matched = [0] * len(candidates)
        """Devices that each candidate targets, by position."""

    def classes(self, twins: Iterable[JsonObject]) -> list[DeviceClass]:
        """Classes of the edge devices with these twins, the largest first."""
        found: dict[int, DeviceClass] = {}
        for twin in twins:
            mask = self._targeting.mask(twin)
            known = found.get(mask)
            if known is None:
                known = found[mask] = DeviceClass(
                    before=self._effective(mask & self._before), after=self._effective(mask & self._after)
                )
            known.count += 1
            if len(known.devices) < SHOWN_DEVICES:
                known.devices.append(twin["deviceId"])
        for mask, item in found.items():
            for position in bits(mask):
                self.matched[position] += item.count
        return sorted(found.values(), key=lambda item: -item.count)

    def _effective(self, mask: int) -> Effective:
        if mask not in self._merged:
            self._merged[mask] = self._merge([self._candidates[position] for position in bits(mask)])
        return self._merged[mask]

    @staticmethod
    def _merge(items: Sequence[Candidate]) -> Effective:
        if not any(item.is_base for item in items):
            return Effective(targeted_only=tuple(item.id for item in items))
        deployments = (
            Deployment(name=item.id, priority=item.priority, created=item.order, modules=item.modules) for item in items
        )
        merged: Merged = merge_layers(deployments)
        return Effective(
            applied=tuple(merged.applied),
            targeted_only=tuple(merged.targeted_only),
            desired=merged.desired,
            warnings=tuple(merged.warnings),
        )


def _mask_of(flags: Iterable[bool]) -> int:
    return sum(1 << position for position, flag in enumerate(flags) if flag)
