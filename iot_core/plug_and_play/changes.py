"""What changed in a digital twin, as a JSON Patch (IoT Plug and Play documentation, "Digital twin change events")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iot_core.json_types import JsonObject

__all__ = ["digital_twin_changes"]


def digital_twin_changes(before: JsonObject, after: JsonObject) -> list[JsonObject]:
    """The operations that make ``after`` of ``before``; objects that are in both are changed member by member."""
    return list(_changes("", before, after))


def _changes(path: str, before: JsonObject, after: JsonObject) -> Iterator[JsonObject]:
    for name in before:
        if name not in after:
            yield {"op": "remove", "path": f"{path}/{_escaped(name)}"}
    for name, value in after.items():
        where = f"{path}/{_escaped(name)}"
        if name not in before:
            yield {"op": "add", "path": where, "value": value}
        elif isinstance(value, dict) and isinstance(before[name], dict):
            yield from _changes(where, before[name], value)
        elif not _same(before[name], value):
            yield {"op": "replace", "path": where, "value": value}


def _same(one: Any, other: Any) -> bool:
    """Equal and of one JSON type: 1 is not true."""
    return type(one) is type(other) and bool(one == other)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
