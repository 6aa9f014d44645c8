"""What keeps a stack from being applied, or is worth a second look, as seen from the whole hub.

Sources: IoT Edge documentation, "Understand IoT Edge automatic deployments" (layered deployment), and IoT Hub
documentation, "IoT Hub quotas and throttling" (configurations per hub).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from hub_tools.manifests import Deployment, Layer
from hub_tools.stacks.effective import Candidate, DeviceClass
from hub_tools.stacks.ownership import BAND, Owned
from iot_core.manifest.findings import Finding, Severity

if TYPE_CHECKING:
    from hub_tools.stacks.preview import ConfigurationChange

__all__ = ["stack_problems"]

Items = Mapping[str, Deployment | Layer]


def stack_problems(
    items: Items,
    owned: Mapping[str, list[Owned]],
    changes: Sequence[ConfigurationChange],
    candidates: Sequence[Candidate],
    classes: Sequence[DeviceClass],
    targeted: Mapping[str, int],
    *,
    total: int,
    limit: int,
) -> Iterator[Finding]:
    """S01 bands, S02 foreign deployments in them, S03 the hub's limit, S04 nobody targeted, S05 and S06 layers that do
    not take effect, S07 devices that lose their base, S08 doubtful merges.
    """
    yield from _bands(items)
    yield from _foreign(items, owned, candidates, classes)
    yield from _room(changes, total, limit)
    yield from _nobody(items, targeted)
    yield from _layers(items, changes, classes)
    yield from _bases(classes)
    yield from _doubtful(classes)


def _bands(items: Items) -> Iterator[Finding]:
    for first, second in combinations(items.values(), 2):
        low, high = sorted((first, second), key=lambda item: item.priority)
        if high.priority - low.priority >= BAND or (isinstance(low, Deployment) and isinstance(high, Deployment)):
            continue
        yield Finding(
            rule="S01",
            severity=Severity.ERROR,
            path=f"{high.name}.priority",
            message=f"{high.priority} is in the band {low.priority} to {low.priority + BAND - 1} of {low.name}",
            fix=f"Give it {low.priority + BAND} or more",
        )


def _foreign(
    items: Items, owned: Mapping[str, list[Owned]], candidates: Sequence[Candidate], classes: Sequence[DeviceClass]
) -> Iterator[Finding]:
    """Deployments of others between the two priorities of an item, on devices that the item is for."""
    own = {item.id for versions in owned.values() for item in versions}
    others = {item.id: item for item in candidates if item.before and item.id not in own}
    together = {
        (one, other)
        for device_class in classes
        for one in (*device_class.after.applied, *device_class.after.targeted_only)
        for other in others
        if other in (*device_class.after.applied, *device_class.after.targeted_only)
    }
    coming = {item.id: item for item in candidates if item.after and item.id not in others}
    for one, other in sorted(together):
        if one in coming and coming[one].priority <= others[other].priority < coming[one].priority + BAND:
            if coming[one].is_base != others[other].is_base:
                continue
            yield Finding(
                rule="S02",
                severity=Severity.ERROR,
                path=f"{one}.priority",
                message=f"{other}, not of this stack, has priority {others[other].priority} on the same devices",
                fix=f"Choose a priority so that it and the next one are free: {other} keeps its own",
            )


def _room(changes: Sequence[ConfigurationChange], total: int, limit: int) -> Iterator[Finding]:
    """Old and new stand beside each other for a while, and the lease takes a place too."""
    coming = sum(change.action in ("create", "replace") for change in changes)
    if coming and total + coming + 1 > limit:
        yield Finding(
            rule="S03",
            severity=Severity.ERROR,
            path="configurations",
            message=f"{total} are in the hub and {coming + 1} would come (one is the lease); it may hold {limit}",
            fix="Delete configurations that nobody needs",
        )


def _nobody(items: Items, targeted: Mapping[str, int]) -> Iterator[Finding]:
    for name, item in items.items():
        if not targeted.get(name):
            yield Finding(
                rule="S04",
                severity=Severity.WARNING,
                path=f"{name}.target",
                message=f"no edge device matches {item.condition!r}",
                fix='Try it with: edgeyard query "SELECT deviceId FROM devices WHERE …"',
            )


def _layers(items: Items, changes: Sequence[ConfigurationChange], classes: Sequence[DeviceClass]) -> Iterator[Finding]:
    ids = {change.new["id"]: change.name for change in changes if change.new}
    without: dict[str, int] = {}
    below: dict[str, int] = {}
    for item in classes:
        for one in item.after.targeted_only:
            if isinstance(items.get(ids.get(one, "")), Layer):
                counts = below if item.after.has_base else without
                counts[ids[one]] = counts.get(ids[one], 0) + item.count
    for name, count in sorted(without.items()):
        yield Finding(
            rule="S05",
            severity=Severity.ERROR,
            path=name,
            message=f"{count} of its devices have no base deployment, so the layer is not applied there",
            fix="Target them with a base too, or narrow the layer's target",
        )
    for name, count in sorted(below.items()):
        yield Finding(
            rule="S06",
            severity=Severity.ERROR,
            path=f"{name}.priority",
            message=f"it is not above the base of {count} devices, so the layer is not applied there",
            fix="Give the layer a higher priority than the base",
        )


def _bases(classes: Sequence[DeviceClass]) -> Iterator[Finding]:
    lost = sum(item.count for item in classes if item.before.has_base and not item.after.has_base)
    if lost:
        yield Finding(
            rule="S07",
            severity=Severity.WARNING,
            path="devices",
            message=f"{lost} devices would have no base deployment any more; they keep running what they have",
            fix="Give them another base first if they are to change",
        )
    dropped: dict[tuple[str, str], int] = {}
    for item in classes:
        for layer in set(item.before.applied[1:]) & set(item.after.targeted_only):
            key = layer, item.after.applied[0] if item.after.has_base else ""
            dropped[key] = dropped.get(key, 0) + item.count
    for (layer, base), count in sorted(dropped.items()):
        if base:
            yield Finding(
                rule="S09",
                severity=Severity.ERROR,
                path=base,
                message=f"the base would drop the layer {layer} of {count} devices, which is not above it",
                fix="Give the base a lower priority than the layer",
            )


def _doubtful(classes: Sequence[DeviceClass]) -> Iterator[Finding]:
    seen = {warning for item in classes for warning in item.after.warnings}
    for warning in sorted(seen):
        yield Finding(rule="S08", severity=Severity.WARNING, path="layers", message=warning, fix="Use other priorities")
