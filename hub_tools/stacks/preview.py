"""What applying a stack would do: to the configurations of the hub, and to each class of devices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import orjson

from hub_tools.manifests import Deployment, Layer
from hub_tools.stacks.difference import Difference, Differences, MaybeValueOf, same
from hub_tools.stacks.effective import SHOWN_DEVICES, Candidate, DeviceClass, Effective, Planner
from hub_tools.stacks.ownership import Owned, id_of, labels_of, owned_by
from hub_tools.stacks.problems import stack_problems
from hub_tools.stacks.world import World
from iot_core.errors import InputError
from iot_core.json_types import JsonObject
from iot_core.manifest.findings import Finding, Severity

__all__ = ["Action", "Check", "ClassPreview", "ConfigurationChange", "Preview", "compute_preview"]

Action = Literal["create", "replace", "update", "delete", "keep"]
Check = Callable[[JsonObject], Iterable[Finding]]
"""A check of what one class of devices would get, as `{"modulesContent": …}`."""

PLAN_VERSION = 1
CHECKED_MAX = 1_000
"""Classes that are checked; each takes some milliseconds."""
_CHANGEABLE = ("targetCondition", "priority", "labels", "metrics")


@dataclass(frozen=True, kw_only=True)
class ConfigurationChange:
    """What happens to one item: `old` is in the hub now, `new` the body to come, with references for secrets.

    `replace` makes the new one beside the old, which goes when the new one has succeeded. `why` names what differs.
    """

    action: Action
    name: str
    old: JsonObject | None = None
    new: JsonObject | None = None
    why: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Without the content of `old`, where secrets may stand."""
        old = None if self.old is None else {name: value for name, value in self.old.items() if name != "content"}
        return {"action": self.action, "name": self.name, "old": old, "new": self.new, "why": list(self.why)}

    @classmethod
    def from_json(cls, document: JsonObject) -> ConfigurationChange:
        return cls(**{**document, "why": tuple(document["why"])})


@dataclass(frozen=True, kw_only=True)
class ClassPreview:
    """Devices that would see the same change; `devices` are some of them."""

    count: int
    devices: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    """Ids of the deployments that are applied, base first; empty where no base is."""
    difference: Difference

    def to_json(self) -> JsonObject:
        return {
            "count": self.count,
            "devices": list(self.devices),
            "before": list(self.before),
            "after": list(self.after),
            "difference": self.difference.to_json(),
        }

    @classmethod
    def from_json(cls, document: JsonObject) -> ClassPreview:
        return cls(
            count=document["count"],
            devices=tuple(document["devices"]),
            before=tuple(document["before"]),
            after=tuple(document["after"]),
            difference=Difference.from_json(document["difference"]),
        )


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The whole of it. `fingerprint` stands for what the hub held: it moves when anything that counts here does."""

    stack: str
    environment: str
    host_name: str
    changes: tuple[ConfigurationChange, ...]
    classes: tuple[ClassPreview, ...]
    findings: tuple[Finding, ...]
    devices: int
    targeted: Mapping[str, int]
    """Devices that each item of the stack targets."""
    fingerprint: str

    @property
    def has_changes(self) -> bool:
        return any(change.action != "keep" for change in self.changes)

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def changed_devices(self) -> int:
        return sum(item.count for item in self.classes if item.difference)

    def to_json(self) -> JsonObject:
        return {
            "version": PLAN_VERSION,
            "stack": self.stack,
            "environment": self.environment,
            "hub": self.host_name,
            "fingerprint": self.fingerprint,
            "devices": self.devices,
            "changedDevices": self.changed_devices,
            "targeted": dict(self.targeted),
            "changes": [change.to_json() for change in self.changes],
            "classes": [item.to_json() for item in self.classes],
            "findings": [finding.to_json() for finding in self.findings],
        }

    @classmethod
    def from_json(cls, document: JsonObject) -> Preview:
        """The reverse of `to_json`; InputError for what is no plan, or one of a newer program."""
        version = document.get("version") if isinstance(document, dict) else None
        if version != PLAN_VERSION:
            raise InputError(f"it is no plan of version {PLAN_VERSION}: make one with `edgeyard preview --out FILE`")
        try:
            return cls._read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"it is a damaged plan ({type(error).__name__}: {error}): make it again") from None

    @classmethod
    def _read(cls, document: JsonObject) -> Preview:
        return cls(
            stack=document["stack"],
            environment=document["environment"],
            host_name=document["hub"],
            changes=tuple(map(ConfigurationChange.from_json, document["changes"])),
            classes=tuple(map(ClassPreview.from_json, document["classes"])),
            findings=tuple(map(Finding.from_json, document["findings"])),
            devices=document["devices"],
            targeted=document["targeted"],
            fingerprint=document["fingerprint"],
        )


def compute_preview(
    stack: str,
    environment: str,
    items: Mapping[str, Deployment | Layer],
    world: World,
    *,
    value_of: MaybeValueOf = lambda name: None,
    checks: Sequence[Check] = (),
    limit: int = 100,
) -> Preview:
    """The preview of a stack's items against a hub; nothing is changed.

    `value_of` gives the values of secrets as far as they are known here, `checks` are run on what each class of devices
    would get, `limit` is how many configurations the hub may hold.
    """
    owned = owned_by(stack, environment, world.configurations)
    changes = tuple(_changes(stack, environment, items, owned, value_of))
    candidates = _candidates(world, changes, owned)
    planner = Planner(candidates)
    classes = planner.classes(world.twins)
    targeted = _targeted(changes, candidates, planner.matched)
    findings = [
        *stack_problems(
            items, owned, changes, candidates, classes, targeted, total=len(world.configurations), limit=limit
        ),
        *_checked(classes, checks),
    ]
    return Preview(
        stack=stack,
        environment=environment,
        host_name=world.host_name,
        changes=changes,
        classes=tuple(_seen(classes, value_of)),
        findings=tuple(findings),
        devices=len(world.twins),
        targeted=targeted,
        fingerprint=_fingerprint(changes, world, classes),
    )


def _changes(
    stack: str,
    environment: str,
    items: Mapping[str, Deployment | Layer],
    owned: Mapping[str, list[Owned]],
    value_of: MaybeValueOf,
) -> Iterator[ConfigurationChange]:
    for name, item in items.items():
        versions = owned.get(name, [])
        yield _change(stack, environment, item, versions[0] if versions else None, value_of)
        for superseded in versions[1:]:
            yield _deletion(superseded, "a newer version is there")
    for name, versions in owned.items():
        if name not in items:
            yield from (_deletion(version, "no longer in the program") for version in versions)


def _change(
    stack: str, environment: str, item: Deployment | Layer, current: Owned | None, value_of: MaybeValueOf
) -> ConfigurationChange:
    if current is None:
        new = _body(stack, environment, item, 1)
        return ConfigurationChange(action="create", name=item.name, new=new, why=("not in the hub",))
    old = current.configuration
    wanted = item.to_content()
    if not same(old.get("content", {}).get("modulesContent"), wanted["modulesContent"], value_of):
        new = _body(stack, environment, item, current.version + 1)
        return ConfigurationChange(action="replace", name=item.name, old=old, new=new, why=("content",))
    # One that was imported keeps the id that it had.
    new = {**_body(stack, environment, item, current.version), "id": current.id}
    why = tuple(part for part in _CHANGEABLE if _differs(part, old, new))
    return ConfigurationChange(action="update" if why else "keep", name=item.name, old=old, new=new, why=why)


def _differs(part: str, old: JsonObject, new: JsonObject) -> bool:
    if part == "metrics":
        return bool(((old.get("metrics") or {}).get("queries") or {}) != new["metrics"]["queries"])
    return bool((old.get(part) or type(new[part])()) != new[part])


def _deletion(owned: Owned, why: str) -> ConfigurationChange:
    return ConfigurationChange(action="delete", name=owned.name, old=owned.configuration, why=(why,))


def _body(stack: str, environment: str, item: Deployment | Layer, version: int) -> JsonObject:
    body = item.to_configuration()
    return {
        **body,
        "id": id_of(stack, environment, item.name, version),
        "labels": labels_of(stack, environment, item, version),
    }


def _candidates(
    world: World, changes: Sequence[ConfigurationChange], owned: Mapping[str, list[Owned]]
) -> list[Candidate]:
    """Every edge deployment there is or will be. What stays as it is counts for both times."""
    known = {item.id for versions in owned.values() for item in versions}
    kept = {change.new["id"] for change in changes if change.action == "keep" and change.new}
    found = [
        _candidate(
            item,
            order=str(item.get("createdTimeUtc", "")),
            before=True,
            after=item["id"] in kept or item["id"] not in known,
        )
        for item in world.configurations
        if (item.get("content") or {}).get("modulesContent")
    ]
    coming = [change.new for change in changes if change.new and change.action != "keep"]
    return found + [_candidate(body, order=_NEWEST, before=False, after=True) for body in coming]


_NEWEST = "9999"
"""Sorts after every time of creation."""


def _candidate(body: JsonObject, *, order: str, before: bool, after: bool) -> Candidate:
    return Candidate(
        id=str(body["id"]),
        priority=int(body.get("priority") or 0),
        order=order,
        condition=str(body.get("targetCondition") or ""),
        modules=body["content"]["modulesContent"],
        before=before,
        after=after,
    )


def _targeted(
    changes: Sequence[ConfigurationChange], candidates: Sequence[Candidate], matched: Sequence[int]
) -> dict[str, int]:
    counts = {candidate.id: count for candidate, count in zip(candidates, matched, strict=True) if candidate.after}
    return {change.name: counts[change.new["id"]] for change in changes if change.new}


def _seen(classes: Sequence[DeviceClass], value_of: MaybeValueOf) -> Iterator[ClassPreview]:
    """The classes with what they would see. Devices that have the same now and would have the same afterwards are one
    class, by whatever deployments they come to it; the deployments named are those of most of them.
    """
    alike: dict[tuple[bytes, bytes], list[DeviceClass]] = {}
    digests: dict[int, bytes] = {}
    differences = Differences(value_of)
    for item in classes:
        alike.setdefault((_digest(item.before, digests), _digest(item.after, digests)), []).append(item)
    for parts in alike.values():
        first = parts[0]
        after = first.after if first.after.has_base else first.before
        yield ClassPreview(
            count=sum(part.count for part in parts),
            devices=tuple(islice(chain.from_iterable(part.devices for part in parts), SHOWN_DEVICES)),
            before=first.before.applied,
            after=first.after.applied,
            difference=differences.of(first.before.desired, after.desired),
        )


def _digest(effective: Effective, known: dict[int, bytes]) -> bytes:
    """Stands for what a device has; `known` holds those that were computed, by identity."""
    if id(effective) not in known:
        known[id(effective)] = hashlib.sha256(_canonical(effective.desired)).digest()
    return known[id(effective)]


def _canonical(desired: Mapping[str, JsonObject]) -> bytes:
    try:
        return orjson.dumps(desired, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(desired, sort_keys=True).encode()


def _checked(classes: Sequence[DeviceClass], checks: Sequence[Check]) -> Iterator[Finding]:
    """What the checks say of the classes, each finding once; of very many only the largest are looked at."""
    distinct = {id(item.after): item for item in classes if item.after.has_base}
    seen: set[Finding] = set()
    for item in islice(distinct.values(), CHECKED_MAX):
        for check in checks:
            for finding in check(_content(item.after)):
                if finding not in seen:
                    seen.add(finding)
                    yield finding
    rest = list(islice(distinct.values(), CHECKED_MAX, None))
    if rest and checks:
        yield Finding(
            rule="S10",
            severity=Severity.INFO,
            path="devices",
            message=f"{len(rest)} small classes of devices were not checked, {rest[0].count} devices each at most",
            fix="Have layers share their targets, so that fewer combinations of them occur",
        )


def _content(effective: Effective) -> JsonObject:
    return {"modulesContent": {name: {"properties.desired": value} for name, value in effective.desired.items()}}


def _fingerprint(changes: Sequence[ConfigurationChange], world: World, classes: Sequence[DeviceClass]) -> str:
    held = [[item["id"], item.get("etag")] for item in world.configurations]
    coming = [[change.action, change.name, change.new] for change in changes]
    seen = sorted([item.count, item.before.applied, item.after.applied] for item in classes)
    text = json.dumps([sorted(held), coming, seen], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
