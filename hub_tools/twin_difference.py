"""What a device makes of its desired properties: each beside what the device reports under that name.

A device acknowledges a setting by reporting an object with its value, `ac` (a status code), `av` (the `$version` of the
desired properties it answers) and `ad` (a reason): "IoT Plug and Play conventions", acknowledgment responses. A plain
reported value is compared as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hub_tools.service import Json

__all__ = ["PropertyRow", "PropertyState", "compare_properties", "patch_between"]


class PropertyState(StrEnum):
    """How a reported value stands to the desired one."""

    ACKNOWLEDGED = "acknowledged"
    EQUAL = "equal"
    PENDING = "pending"
    REFUSED = "refused"
    DIFFERENT = "different"
    UNANSWERED = "unanswered"
    REPORTED = "reported only"

    @property
    def settled(self) -> bool:
        """Whether nothing is left to come about."""
        return self in (PropertyState.ACKNOWLEDGED, PropertyState.EQUAL, PropertyState.REPORTED)


@dataclass(frozen=True, kw_only=True)
class PropertyRow:
    """A property by its dotted name; `ac`, `av` and `ad` are None unless the device acknowledges this one.

    `version` is the `$version` in which the desired value was last set.
    """

    name: str
    desired: Any
    reported: Any
    state: PropertyState
    version: int | None = None
    ac: int | None = None
    av: int | None = None
    ad: str | None = None

    def document(self) -> Json:
        """The row for machines; what the device did not say is left out."""
        values = {"version": self.version, "ac": self.ac, "av": self.av, "ad": self.ad}
        base = {"name": self.name, "state": self.state.value, "desired": self.desired, "reported": self.reported}
        return {**base, **{name: value for name, value in values.items() if value is not None}}


def compare_properties(twin: Json) -> list[PropertyRow]:
    """Every desired property by name, then what is only reported."""
    desired, reported = (twin.get("properties", {}).get(section, {}) for section in ("desired", "reported"))
    rows = list(_rows("", desired, reported, desired.get("$metadata", {}), desired.get("$version", 0)))
    return sorted(rows, key=lambda row: (row.state is PropertyState.REPORTED, row.name))


def patch_between(old: Json, new: Json) -> Json:
    """The merge patch that makes `new` of `old`; empty when they are equal. None in `new` deletes."""
    patch: Json = {name: None for name in old if new.get(name) is None}
    for name, value in new.items():
        held = old.get(name)
        if isinstance(value, dict) and isinstance(held, dict):
            if inner := patch_between(held, value):
                patch[name] = inner
        elif value is not None and not _same(held, value):
            patch[name] = value
    return patch


def _rows(prefix: str, desired: Json, reported: Json, metadata: Json, version: int) -> Iterator[PropertyRow]:
    for name in dict.fromkeys((*_own(desired), *_own(reported))):
        path, theirs = f"{prefix}{name}", reported.get(name)
        marks = metadata.get(name, {})
        since = int(marks.get("$lastUpdatedVersion", version))
        if name not in desired:
            yield PropertyRow(name=path, desired=None, reported=theirs, state=PropertyState.REPORTED, **_answer(theirs))
        elif isinstance(desired[name], dict) and not _acknowledges(theirs):
            inner = theirs if isinstance(theirs, dict) else {}
            yield from _rows(f"{path}.", desired[name], inner, marks, since)
        else:
            yield _row(path, desired[name], theirs, since)


def _row(path: str, desired: Any, reported: Any, since: int) -> PropertyRow:
    if not _acknowledges(reported):
        same = PropertyState.EQUAL if _same(desired, reported) else PropertyState.DIFFERENT
        state = PropertyState.UNANSWERED if reported is None else same
        return PropertyRow(name=path, desired=desired, reported=reported, state=state, version=since)
    value = reported.get("value")
    state = _answered(desired, value, reported, since)
    return PropertyRow(name=path, desired=desired, reported=value, state=state, version=since, **_answer(reported))


def _answered(desired: Any, value: Any, answer: Mapping[str, Any], since: int) -> PropertyState:
    """An answer to an older version says nothing of the value that is wanted now."""
    code = answer["ac"]
    if answer["av"] < since or code == 202:
        return PropertyState.PENDING
    if code >= 400:
        return PropertyState.REFUSED
    return PropertyState.ACKNOWLEDGED if _same(desired, value) else PropertyState.DIFFERENT


def _acknowledges(reported: Any) -> bool:
    return isinstance(reported, dict) and all(type(reported.get(name)) is int for name in ("ac", "av"))


def _answer(reported: Any) -> dict[str, Any]:
    return {name: reported.get(name) for name in ("ac", "av", "ad")} if _acknowledges(reported) else {}


def _own(section: Json) -> list[str]:
    return [name for name in section if not name.startswith("$")]


def _same(one: Any, other: Any) -> bool:
    """Equality that keeps true and 1 apart."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
