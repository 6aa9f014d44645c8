"""What each edge device runs by a set of deployments, for all devices at once; those that end up alike are a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub_tools.stacks.targeting import Targeting, bits
from iot_core.configurations import compile_target
from iot_core.json_types import JsonObject
from iot_core.manifest import Deployment, is_base
from iot_core.manifest.layers import apply_over, doubts, rank

__all__ = ["SHOWN_DEVICES", "Candidate", "DeviceClass", "Effective", "Planner"]

SHOWN_DEVICES = 5
"""Devices of a class that are named as examples."""


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
    desired properties by module id, which are not to be changed. Without a base everything is empty, and the device
    keeps what it has.
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
        self._targeting = Targeting([compile_target(item.condition) for item in candidates])
        self._before = _mask_of(item.before for item in candidates)
        self._after = _mask_of(item.after for item in candidates)
        self._merged: dict[int, Effective] = {}
        self._deployments = [
            Deployment(name=item.id, priority=item.priority, created=item.order, modules=item.modules)
            for item in candidates
        ]
        self._ranks = [rank(item) for item in self._deployments]
        self._bases = [item.is_base for item in self._deployments]
        self._doubtful = [bool(doubts([item])) for item in self._deployments]
        self._nothing = _Run(desired={})
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

    def now(self, twin: JsonObject) -> Effective:
        """What one device has by the deployments that are in force before."""
        return self._effective(self._targeting.mask(twin) & self._before)

    def _effective(self, mask: int) -> Effective:
        if mask not in self._merged:
            self._merged[mask] = self._merge(mask)
        return self._merged[mask]

    def _merge(self, mask: int) -> Effective:
        """What `merge_layers` gives, but that its parts are shared: each run of deployments is merged once."""
        ranked = sorted(bits(mask), key=self._ranks.__getitem__)
        bases = [place for place in ranked if self._bases[place]]
        if not bases:
            return Effective(targeted_only=tuple(self._deployments[place].name for place in ranked))
        above = self._deployments[bases[-1]].priority
        layers = [place for place in ranked if not self._bases[place] and self._deployments[place].priority > above]
        applied = [bases[-1], *layers]
        return Effective(
            applied=tuple(self._deployments[place].name for place in applied),
            targeted_only=tuple(self._deployments[place].name for place in ranked if place not in applied),
            desired=self._desired(applied),
            warnings=self._doubts(layers),
        )

    def _desired(self, applied: Sequence[int]) -> dict[str, JsonObject]:
        run = self._nothing
        for place in applied:
            if place not in run.longer:
                run.longer[place] = _Run(desired=apply_over(run.desired, self._deployments[place].modules))
            run = run.longer[place]
        return run.desired

    def _doubts(self, layers: Sequence[int]) -> tuple[str, ...]:
        priorities = {self._deployments[place].priority for place in layers}
        if len(priorities) == len(layers) and not any(self._doubtful[place] for place in layers):
            return ()
        return tuple(doubts([self._deployments[place] for place in layers]))


@dataclass(kw_only=True)
class _Run:
    """Desired properties after some deployments, and those runs that go on by one more, by its position."""

    desired: dict[str, JsonObject]
    longer: dict[int, _Run] = field(default_factory=dict)


def _mask_of(flags: Iterable[bool]) -> int:
    return sum(1 << position for position, flag in enumerate(flags) if flag)
