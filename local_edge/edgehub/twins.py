"""Twins of the modules, kept on disk so that they can be read and reported to while the hub is away.

What a module reported is merged into the copy at once; the difference to what the hub holds is sent when it is there.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field, replace
from typing import Any

from iot_core.twin import merge_patch, validate_section
from local_edge.difference import difference
from transport.store import Store

__all__ = ["TwinCopy", "TwinStore", "without_reserved"]


@dataclass(frozen=True, kw_only=True)
class TwinCopy:
    """The last known twin of a module, without $version in the sections; version -1: never seen."""

    desired: dict[str, Any] = field(default_factory=dict)
    desired_version: int = -1
    reported: dict[str, Any] = field(default_factory=dict)
    reported_upstream: dict[str, Any] = field(default_factory=dict)
    reported_version: int = 0

    @property
    def pending(self) -> dict[str, Any]:
        """The reported patch that the hub has not got yet."""
        return difference(self.reported_upstream, self.reported)

    def device_view(self) -> dict[str, Any]:
        """The twin as the hub answers a twin get."""
        return {
            "desired": {**self.desired, "$version": max(self.desired_version, 0)},
            "reported": {**self.reported, "$version": self.reported_version},
        }

    def refreshed(self, document: dict[str, Any]) -> TwinCopy:
        """After the hub's own document came; what is still pending stays merged in."""
        desired, reported = document.get("desired") or {}, document.get("reported") or {}
        upstream = without_reserved(reported)
        return TwinCopy(
            desired=without_reserved(desired),
            desired_version=int(desired.get("$version", 0)),
            reported=merge_patch(upstream, self.pending),
            reported_upstream=upstream,
            reported_version=int(reported.get("$version", 0)),
        )

    def desired_patched(self, patch: dict[str, Any], version: int) -> TwinCopy:
        return replace(self, desired=merge_patch(self.desired, without_reserved(patch)), desired_version=version)

    def reported_patched(self, patch: dict[str, Any]) -> TwinCopy:
        """TwinError when the patch, or what comes of it, breaks the rules of twins."""
        clean = without_reserved(patch)
        validate_section("reported", clean)
        merged = merge_patch(self.reported, clean)
        validate_section("reported", merged)
        return replace(self, reported=merged)

    def reverted(self) -> TwinCopy:
        """Back to the reported properties that the hub holds."""
        return replace(self, reported=self.reported_upstream)

    def sent(self, reported: dict[str, Any], version: int) -> TwinCopy:
        """The hub now holds `reported`."""
        return replace(self, reported_upstream=reported, reported_version=version)


class TwinStore:
    """The copies by module id; all are in memory, every change is on disk when the call returns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.read(lambda connection: connection.execute(_SELECT).fetchall())
        self._copies: dict[str, TwinCopy] = {row[0]: _copy(*row[1:]) for row in rows}

    def get(self, module: str) -> TwinCopy:
        return self._copies.get(module, TwinCopy())

    async def put(self, module: str, copy: TwinCopy) -> None:
        if self._copies.get(module) == copy:
            return
        self._copies[module] = copy
        values = (
            module,
            json.dumps(copy.desired),
            copy.desired_version,
            json.dumps(copy.reported),
            json.dumps(copy.reported_upstream),
            copy.reported_version,
        )
        await self._store.write(lambda connection: _execute(connection, _REPLACE, values))

    async def remove(self, module: str) -> None:
        self._copies.pop(module, None)
        await self._store.write(lambda connection: _execute(connection, "DELETE FROM twin WHERE module = ?", (module,)))


def without_reserved(section: dict[str, Any]) -> dict[str, Any]:
    """The section without $version and $metadata."""
    return {key: value for key, value in section.items() if key not in ("$version", "$metadata")}


_SELECT = "SELECT module, desired, desired_version, reported, reported_upstream, reported_version FROM twin"
_REPLACE = (
    "REPLACE INTO twin (module, desired, desired_version, reported, reported_upstream, reported_version) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


def _execute(connection: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> None:
    connection.execute(sql, values)


def _copy(desired: str, desired_version: int, reported: str, upstream: str, reported_version: int) -> TwinCopy:
    return TwinCopy(
        desired=json.loads(desired),
        desired_version=desired_version,
        reported=json.loads(reported),
        reported_upstream=json.loads(upstream),
        reported_version=reported_version,
    )
