"""Reported properties: what the application wants the hub to hold, and what the hub holds already."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Json = Any


def difference(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON merge patch that turns `old` into `new`: the changed members, None for those that went away."""
    patch: dict[str, Json] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if nested := difference(before, value):
                patch[name] = nested
        elif name not in old or not _same(before, value):
            patch[name] = value
    return patch


def _without_none(value: Json) -> Json:
    """A copy without the members that are None, which a hub does not store."""
    if isinstance(value, Mapping):
        return {name: _without_none(member) for name, member in value.items() if member is not None}
    return copy.deepcopy(value)


def _same(one: Json, other: Json) -> bool:
    """JSON equality: true is not 1, but 1 is 1.0."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class ReportedState:
    """Keeps the wanted values of top-level reported properties and yields the patch that is still to be sent.

    Properties that were never wanted here are left alone: someone else may own them.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, Json] = {}
        self._known: dict[str, Json] = {}

    def want(self, properties: Mapping[str, Json]) -> None:
        """Set top-level properties; None deletes one. None further down says, as in every twin, that there is no such
        member."""
        self._wanted.update({name: _without_none(value) for name, value in properties.items()})

    def hub_holds(self, reported: Mapping[str, Json]) -> None:
        """Take over what the hub says it holds, after a connect."""
        self._known = {name: value for name, value in reported.items() if not name.startswith("$")}

    def pending(self) -> dict[str, Json]:
        """The patch to send, empty when the hub holds everything."""
        wanted = {name: value for name, value in self._wanted.items() if value is not None}
        known = {name: self._known[name] for name in self._wanted if name in self._known}
        return copy.deepcopy(difference(known, wanted))

    def sent(self, patch: Mapping[str, Json]) -> None:
        """The hub has acknowledged `patch`, which `pending` gave."""
        self._known = _merged(self._known, patch)


def _merged(target: Mapping[str, Json], patch: Mapping[str, Json]) -> dict[str, Json]:
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            before = result.get(name)
            result[name] = _merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[name] = value
    return result
