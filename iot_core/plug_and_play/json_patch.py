"""Changes of a digital twin: JSON Patches, made into merge patches of desired properties (IoT Plug and Play
documentation, "Manage IoT Plug and Play digital twins").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.plug_and_play.components import COMPONENT, MARKER, is_component

__all__ = ["Operation", "desired_patch", "parse_operations"]

MOST_DEPTH = 5
"""Levels that a complex value may have."""
_VERBS = ("add", "replace", "remove")
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]{0,62}[A-Za-z0-9])?", re.ASCII)
_METADATA = "$metadata"
_ESCAPES = (("~1", "/"), ("~0", "~"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """Sets (``remove`` False) or clears a property, of the root or of a component, or a whole component."""

    component: str | None
    name: str
    remove: bool = False
    value: Any = None

    @property
    def sets_component(self) -> bool:
        """Whether the value is a component: it holds the empty marker ``$metadata``."""
        return self.component is None and isinstance(self.value, dict) and _METADATA in self.value


def parse_operations(document: Any) -> tuple[Operation, ...]:
    """The operations of a JSON Patch.

    HubError InvalidDigitalTwinJsonPatch for what is none, InvalidDigitalTwinPatchPath for a path that is no property
    and no component, InvalidDigitalTwinPatch for a value that a property cannot have.
    """
    if not isinstance(document, list):
        raise _no_patch("The body must be a JSON Patch: an array of operations.")
    return tuple(_parse(item) for item in document)


def desired_patch(
    operations: Iterable[Operation], desired: Mapping[str, Any], reported: Mapping[str, Any]
) -> JsonObject:
    """The merge patch that does to ``desired`` what the operations say, one after the other; {} when there are none.

    HubError ArgumentInvalid where a path takes for a component what the device twin has as a property, or the reverse.
    """
    after, touched = dict(desired), dict[str, set[str] | None]()
    for operation in operations:
        _check_kind(operation, after, reported)
        root = operation.component or operation.name
        if operation.component is None:
            touched[root] = None
            _put(after, operation.name, operation)
        else:
            inner = dict(after.get(root) or {MARKER: COMPONENT})
            _put(inner, operation.name, operation)
            _settle(after, root, inner)
            if touched.setdefault(root, set()) is not None:
                touched[root] = {*(touched[root] or ()), operation.name}
    changed = {name: inner for name, inner in touched.items() if name in desired or name in after}
    return {name: _change(desired.get(name), after.get(name), inner) for name, inner in changed.items()}


def _parse(item: Any) -> Operation:
    if not isinstance(item, dict) or item.get("op") not in _VERBS:
        raise _no_patch(f"An operation must have an op of {', '.join(_VERBS)}.")
    names = _names(item.get("path"))
    remove = item["op"] == "remove"
    if not remove and "value" not in item:
        raise _no_patch(f"The operation on {item['path']} needs a value.")
    operation = Operation(
        component=names[0] if len(names) > 1 else None, name=names[-1], remove=remove, value=item.get("value")
    )
    if not remove:
        _check_value(operation, item["path"])
    return operation


def _names(path: Any) -> list[str]:
    """One name or two."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise _no_path("A path must be a text that begins with '/'.")
    names = [_unescaped(name) for name in path[1:].split("/")]
    if len(names) > 2 or not all(_NAME.fullmatch(name) for name in names):
        raise _no_path(
            f"{path[:100]!r} must be /PROPERTY, /COMPONENT or /COMPONENT/PROPERTY, of names with letters, digits and _."
        )
    return names


def _unescaped(name: str) -> str:
    for escaped, character in _ESCAPES:
        name = name.replace(escaped, character)
    return name


def _check_value(operation: Operation, path: str) -> None:
    if not operation.sets_component:
        _check(operation.value, path, 0)
        return
    if operation.value[_METADATA] != {}:
        raise _no_value(path, "$metadata marks a component and must be an empty object")
    for name, value in operation.value.items():
        if name != _METADATA:
            _check_name(name, path)
            _check(value, f"{path}/{name}", 0)


def _check(value: Any, path: str, depth: int) -> None:
    if value is None:
        raise _no_value(path, "null is no value; use remove")
    if isinstance(value, list):
        raise _no_value(path, "a property holds no arrays")
    if isinstance(value, dict):
        if depth == MOST_DEPTH:
            raise _no_value(path, f"objects may be nested {MOST_DEPTH} deep, no more")
        for name, item in value.items():
            _check_name(name, path)
            _check(item, f"{path}/{name}", depth + 1)


def _check_name(name: str, path: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise _no_value(path, f"{name[:80]!r} is no name of letters, digits and _")


def _check_kind(operation: Operation, desired: Mapping[str, Any], reported: Mapping[str, Any]) -> None:
    """What is a property in the device twin is not written as a component, and the reverse."""
    name = operation.component or operation.name
    found = [section[name] for section in (desired, reported) if name in section]
    as_component = operation.component is not None or operation.sets_component
    if operation.remove and operation.component is None:
        return
    if any(is_component(value) != as_component for value in found):
        kind = "component" if as_component else "property"
        text = f"'{name}' exists within the device twin and is not a digital twin conformant {kind}."
        raise hub_error("ArgumentInvalid", text)


def _put(target: JsonObject, name: str, operation: Operation) -> None:
    if operation.remove:
        target.pop(name, None)
    elif operation.sets_component:
        inner = {key: value for key, value in operation.value.items() if key != _METADATA}
        _settle(target, name, {MARKER: COMPONENT, **inner})
    else:
        target[name] = operation.value


def _settle(target: JsonObject, name: str, component: JsonObject) -> None:
    """A component of which nothing is desired is none."""
    if component.keys() > {MARKER}:
        target[name] = component
    else:
        target.pop(name, None)


def _change(before: Any, after: Any, only: set[str] | None) -> Any:
    """The merge patch of one member; ``only`` are the touched names inside a component, None: all of it."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    if only is None:
        return {**dict.fromkeys(before.keys() - after.keys()), **_changes(before, after, after.keys())}
    return {MARKER: COMPONENT, **_changes(before, after, only)}


def _changes(before: JsonObject, after: JsonObject, names: Iterable[str]) -> JsonObject:
    return {name: _change(before.get(name), after.get(name), None) for name in names}


def _no_patch(text: str) -> HubError:
    return hub_error("InvalidDigitalTwinJsonPatch", text)


def _no_path(text: str) -> HubError:
    return hub_error("InvalidDigitalTwinPatchPath", text)


def _no_value(path: str, text: str) -> HubError:
    return hub_error("InvalidDigitalTwinPatch", f"{path[:100]}: {text}.")
