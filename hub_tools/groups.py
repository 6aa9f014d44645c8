"""Groups of devices: tag queries with names, put together and kept in a file.

    groups:
      building-1: tags.building = 'B1'
      lab: tags.room = 'lab'
      office:
        any: [building-1, building-2]     # devices of any of these
        not: [lab]                        # but of none of these

A condition is the part of a query after WHERE, as jobs and target conditions take it; "*" is every device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iot_core.errors import InputError, QueryError
from iot_core.query import parse

__all__ = ["EVERY_DEVICE", "Group", "read_groups"]

EVERY_DEVICE = "*"
FILE_BYTES = 1_000_000
_COMBINED = frozenset({"any", "not"})


@dataclass(frozen=True, slots=True)
class Group:
    """A name and a condition; `|` unites, `&` intersects, `-` takes away."""

    name: str
    condition: str

    def __or__(self, other: Group) -> Group:
        if EVERY_DEVICE in (self.condition, other.condition):
            return Group(f"{self.name} | {other.name}", EVERY_DEVICE)
        return Group(f"{self.name} | {other.name}", f"({self.condition}) OR ({other.condition})")

    def __and__(self, other: Group) -> Group:
        if EVERY_DEVICE in (self.condition, other.condition):
            narrower = other if self.condition == EVERY_DEVICE else self
            return Group(f"{self.name} & {other.name}", narrower.condition)
        return Group(f"{self.name} & {other.name}", f"({self.condition}) AND ({other.condition})")

    def __sub__(self, other: Group) -> Group:
        name = f"{self.name} - {other.name}"
        if other.condition == EVERY_DEVICE:
            raise InputError(f"group {name}: nothing is left when every device is taken away")
        rest = f"NOT ({other.condition})"
        return Group(name, rest if self.condition == EVERY_DEVICE else f"({self.condition}) AND {rest}")

    def check(self) -> Group:
        """This group; InputError when its condition is not one."""
        if self.condition != EVERY_DEVICE:
            try:
                parse(f"SELECT * FROM devices WHERE {self.condition}")
            except QueryError as error:
                raise InputError(f"group {self.name}: {error}") from None
        return self


def read_groups(file: Path) -> dict[str, Group]:
    """The groups of a YAML or JSON file by name; InputError says which of them is wrong, and how."""
    try:
        if file.stat().st_size > FILE_BYTES:
            raise InputError(f"{file} is larger than {FILE_BYTES} bytes: that is no file of groups")
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {error}") from None
    entries = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise InputError(f"{file}: write the groups under 'groups:', each as NAME: CONDITION")
    reader = _Reader(entries, file)
    return {name: reader.group(name) for name in entries}


class _Reader:
    """Reads groups that refer to each other, in whatever order they stand."""

    def __init__(self, entries: Mapping[str, Any], file: Path) -> None:
        self._entries = entries
        self._file = file
        self._under_way: list[str] = []

    def group(self, name: str) -> Group:
        if name in self._under_way:
            raise InputError(f"{self._file}: group {' → '.join([*self._under_way, name])} is made of itself")
        if name not in self._entries:
            raise InputError(f"{self._file}: there is no group {name!r}; there are {', '.join(self._entries)}")
        self._under_way.append(name)
        try:
            return Group(name, self._condition(name, self._entries[name])).check()
        except InputError as error:
            text = str(error)
            raise InputError(text if str(self._file) in text else f"{self._file}: {text}") from None
        finally:
            self._under_way.pop()

    def _condition(self, name: str, entry: Any) -> str:
        if isinstance(entry, str) and entry.strip():
            return entry.strip()
        if not isinstance(entry, dict) or not set(entry) <= _COMBINED or not all(map(_is_names, entry.values())):
            raise InputError(f"group {name}: give a condition, or lists of groups under 'any' and 'not'")
        wanted = [self.group(other) for other in entry.get("any", [])]
        result = wanted[0] if wanted else Group(EVERY_DEVICE, EVERY_DEVICE)
        for other in wanted[1:]:
            result = result | other
        for other in (self.group(item) for item in entry.get("not", [])):
            result = result - other
        return result.condition


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
