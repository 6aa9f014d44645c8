"""What changes on a device when its deployment does: modules, routes and the desired properties of module twins.

The agent recreates a module when its image, container options, environment, version, policies or order differ, and only
starts or stops it when nothing but its status does (IoT Edge source, the comparison of docker modules).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hub_tools.manifests.create_options import CreateOptions
from hub_tools.manifests.secrets import SECRET, secret_names
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest import parse_options
from iot_core.manifest.createoptions import is_options_key
from iot_core.manifest.envelope import AGENT, HUB

__all__ = [
    "HIDDEN",
    "TELLING",
    "Difference",
    "Fate",
    "MaybeValueOf",
    "ModuleChange",
    "ValueChange",
    "difference",
    "same",
]

Fate = Literal["added", "removed", "restarted", "started", "stopped"]
Desired = Mapping[str, JsonObject]
"""Desired properties by module id: what `iot_core.manifest.Merged.desired` holds."""

MaybeValueOf = Callable[[str], str | None]
HIDDEN = "***"
_ABSENT = object()
TELLING = re.compile(r"key$|keys$|secret|password|passwd|token|connectionstring|credential|sas$", re.IGNORECASE)
"""Names whose values are taken for secrets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueChange:
    """A value by its path ("scorer.limits.high"); None for `before` or `after` where there is none."""

    path: str
    before: Any = None
    after: Any = None

    def to_json(self) -> JsonObject:
        return {"path": self.path, "before": self.before, "after": self.after}

    @classmethod
    def from_json(cls, document: JsonObject) -> ValueChange:
        return cls(path=document["path"], before=document["before"], after=document["after"])


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleChange:
    """What happens to a module's container, and why: the settings that differ."""

    name: str
    fate: Fate
    reasons: tuple[ValueChange, ...] = ()

    def to_json(self) -> JsonObject:
        return {"module": self.name, "fate": self.fate, "reasons": [reason.to_json() for reason in self.reasons]}

    @classmethod
    def from_json(cls, document: JsonObject) -> ModuleChange:
        return cls(name=document["module"], fate=document["fate"], reasons=_value_changes(document["reasons"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Everything that differs between two deployments of one device; false when nothing does."""

    modules: tuple[ModuleChange, ...] = ()
    routes: tuple[ValueChange, ...] = ()
    twins: tuple[ValueChange, ...] = ()
    runtime: tuple[ValueChange, ...] = ()
    """Settings of the runtime as a whole: registry logins, store and forward, schema versions."""

    def __bool__(self) -> bool:
        return bool(self.modules or self.routes or self.twins or self.runtime)

    def to_json(self) -> JsonObject:
        return {
            "modules": [change.to_json() for change in self.modules],
            "routes": [change.to_json() for change in self.routes],
            "twins": [change.to_json() for change in self.twins],
            "runtime": [change.to_json() for change in self.runtime],
        }

    @classmethod
    def from_json(cls, document: JsonObject) -> Difference:
        return cls(
            modules=tuple(map(ModuleChange.from_json, document["modules"])),
            routes=_value_changes(document["routes"]),
            twins=_value_changes(document["twins"]),
            runtime=_value_changes(document["runtime"]),
        )


def _value_changes(documents: Iterable[JsonObject]) -> tuple[ValueChange, ...]:
    return tuple(map(ValueChange.from_json, documents))


class Differences:
    """Compares many devices; what is shared between them (by identity) is read and compared once."""

    def __init__(self, value_of: MaybeValueOf = lambda name: None) -> None:
        self._comparison = _Comparison(value_of)

    def of(self, before: Desired, after: Desired) -> Difference:
        """As `difference`; neither side may be changed while this is in use."""
        return self._comparison.of(before, after)


def difference(before: Desired, after: Desired, value_of: MaybeValueOf = lambda name: None) -> Difference:
    """What a device will see; either side may be empty, for a device without a deployment.

    References to secrets in `after` are compared by the values that `value_of` gives, where it gives None by the text
    around them. No secret is in the result: where one stood it has the reference, or HIDDEN.
    """
    return _Comparison(value_of).of(before, after)


def same(before: Any, after: Any, value_of: MaybeValueOf = lambda name: None) -> bool:
    """Whether two documents say the same, createOptions and secrets compared as in `difference`."""
    return _Comparison(value_of).same(_all_readable(before), _all_readable(after))


class _Comparison:
    def __init__(self, value_of: MaybeValueOf) -> None:
        self._value_of = value_of
        self._entries: dict[tuple[int, int], tuple[JsonObject, JsonObject, tuple[ValueChange, ...]]] = {}
        """Modules compared already, by identity; the entries are kept so that no other can have it."""

    def of(self, before: Desired, after: Desired) -> Difference:
        old_agent, new_agent = before.get(AGENT, {}), after.get(AGENT, {})
        old_hub, new_hub = before.get(HUB, {}), after.get(HUB, {})
        names = [name for name in {**before, **after} if name not in (AGENT, HUB)]
        return Difference(
            modules=tuple(self._modules(_all_modules(old_agent), _all_modules(new_agent))),
            routes=tuple(self._values(_part(old_hub, "routes"), _part(new_hub, "routes"), deep=False)),
            twins=tuple(
                change
                for name in names
                for change in self._values(before.get(name, {}), after.get(name, {}), prefix=name)
            ),
            runtime=(
                *self._values(
                    _rest(old_agent, "modules", "systemModules"), _rest(new_agent, "modules", "systemModules")
                ),
                *self._values(_rest(old_hub, "routes"), _rest(new_hub, "routes")),
            ),
        )

    def _modules(self, before: JsonObject, after: JsonObject) -> Iterator[ModuleChange]:
        for name in {**before, **after}:
            if name not in before:
                yield ModuleChange(name=name, fate="added", reasons=(_image(after[name]),))
            elif name not in after:
                yield ModuleChange(name=name, fate="removed")
            elif reasons := self._reasons(before[name], after[name]):
                yield ModuleChange(name=name, fate=_fate(reasons), reasons=reasons)

    def _reasons(self, old: JsonObject, new: JsonObject) -> tuple[ValueChange, ...]:
        if old is new:
            return ()
        key = id(old), id(new)
        if key not in self._entries:
            self._entries[key] = old, new, tuple(self._values(_readable(old), _readable(new)))
        return self._entries[key][2]

    def _values(
        self, before: JsonObject, after: JsonObject, *, prefix: str = "", deep: bool = True
    ) -> Iterator[ValueChange]:
        for name in {**before, **after}:
            old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
            path = f"{prefix}.{name}" if prefix else name
            if self.same(old, new):
                continue
            if deep and isinstance(old, dict) and isinstance(new, dict):
                yield from self._values(old, new, prefix=path)
            else:
                yield _shown(path, old, new)

    def same(self, old: Any, new: Any) -> bool:
        if old is new and not isinstance(new, str):
            return True
        if isinstance(new, str) and isinstance(old, str) and old != new and SECRET.search(new):
            values = {name: self._value_of(name) for name in SECRET.findall(new)}
            if None in values.values():
                return _fits(new, old)
            return old == SECRET.sub(lambda match: str(values[match[1]]), new)
        if isinstance(old, dict) and isinstance(new, dict):
            return old.keys() == new.keys() and all(self.same(old[name], new[name]) for name in old)
        if isinstance(old, list) and isinstance(new, list):
            return len(old) == len(new) and all(self.same(*pair) for pair in zip(old, new, strict=True))
        return type(old) is type(new) and bool(old == new)


def _part(section: JsonObject, name: str) -> JsonObject:
    value = section.get(name)
    return value if isinstance(value, dict) else {}


def _rest(section: JsonObject, *without: str) -> JsonObject:
    return {name: value for name, value in section.items() if name not in without}


def _all_modules(agent: JsonObject) -> JsonObject:
    return {**_part(agent, "systemModules"), **_part(agent, "modules")}


def _image(entry: JsonObject) -> ValueChange:
    return ValueChange(path="settings.image", after=(entry.get("settings") or {}).get("image"))


def _fate(reasons: tuple[ValueChange, ...]) -> Fate:
    if any(reason.path != "status" for reason in reasons):
        return "restarted"
    return "stopped" if reasons[0].after == "stopped" else "started"


def _readable(entry: JsonObject) -> JsonObject:
    """A module's entry with its createOptions as JSON, so that their parts can be compared, Env by name."""
    settings = entry.get("settings")
    if not isinstance(settings, dict):
        return entry
    try:
        options: Any = parse_options(settings)
    except ManifestError:
        return entry
    if isinstance(options.get("Env"), list):
        options = {**options, "Env": CreateOptions(options).env}
    rest = {name: value for name, value in settings.items() if not is_options_key(name)}
    return {**entry, "settings": {**rest, "createOptions": options}}


def _all_readable(value: Any) -> Any:
    if isinstance(value, dict):
        entry = _readable(value)
        return {name: _all_readable(item) for name, item in entry.items()}
    return value


def _fits(reference: str, value: str) -> bool:
    """Whether `value` can be `reference` with values in place of its secrets: the text around them is the same."""
    pattern = "(?s:.*)".join(map(re.escape, SECRET.split(reference)[::2]))
    return re.fullmatch(pattern, value) is not None


def _shown(path: str, old: Any, new: Any) -> ValueChange:
    """The change without secrets: what was there is hidden where a secret comes, or where its name tells of one."""
    before, after = (None if value is _ABSENT else value for value in (old, new))
    if secret_names(after) and before is not None:
        before = HIDDEN
    return ValueChange(path=path, before=_without_secrets(path, before), after=_without_secrets(path, after))


def _without_secrets(path: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(path, item) for item in value]
    if isinstance(value, str) and not SECRET.search(value) and TELLING.search(path.rpartition(".")[2]):
        return HIDDEN
    return value
