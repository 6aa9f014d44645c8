"""Finds the devices that are not as the configurations say, without writing: one query per target condition for what it
matches, then one walk over the identities for what those devices hold.

Runs in a reader thread. What it finds is judged again, on current data, before anything is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from iot_core.configurations import Rules, TwinPlan
from iot_core.configurations.model import Configuration
from iot_core.json_types import JsonObject
from local_hub.configurations.edge_modules import is_superfluous
from local_hub.documents import Documents
from local_hub.json_text import load
from local_hub.twins.changes import difference
from local_hub.twins.scan import matching_keys

__all__ = ["drifted_devices"]

_Key = tuple[str, str]
_Ids = tuple[str, ...]
_WALK = "SELECT device_id, module_id, iot_edge, managed_by, desired, configurations FROM identities"


class _Twin(NamedTuple):
    """A row of the walk."""

    device_id: str
    module_id: str
    iot_edge: int
    managed_by: str | None
    desired: str
    configurations: str


def drifted_devices(connection: sqlite3.Connection, rules: Rules, documents: Documents) -> list[str]:
    """The ids of devices of which a twin, or the set of modules, differs from the plan."""
    matches = _matches(connection, rules, documents)
    if not matches and not connection.execute("SELECT 1 FROM identities WHERE configurations != '{}'").fetchone():
        return []
    return [device_id for device_id, rows in _devices(connection) if _drifted(rules, matches, list(rows))]


def _matches(connection: sqlite3.Connection, rules: Rules, documents: Documents) -> dict[_Key, _Ids]:
    """Which configurations each twin's key satisfies; the tuples are shared, most twins have one of a few."""
    found: dict[_Key, _Ids] = {}
    shared: dict[_Ids, _Ids] = {}
    for item in (*rules.for_devices, *rules.for_modules):
        for key in _keys(connection, item, documents):
            ids = (*found.get(key, ()), item.id)
            found[key] = shared.setdefault(ids, ids)
    return found


def _keys(connection: sqlite3.Connection, item: Configuration, documents: Documents) -> Iterable[_Key]:
    condition = item.target.condition
    return matching_keys(connection, condition, item.target.paths, documents) if condition else ()


def _devices(connection: sqlite3.Connection) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    rows = connection.execute(f"{_WALK} ORDER BY device_id, module_id")
    return groupby(rows, key=itemgetter(0))


def _drifted(rules: Rules, matches: dict[_Key, _Ids], rows: list[tuple[Any, ...]]) -> bool:
    twins = [_Twin._make(row) for row in rows if row[5] != "{}" or row[:2] in matches]
    if not twins:
        return False
    found = rules.split(matches.get((twins[0].device_id, ""), ()), bool(rows[0][2]))
    if not found.deployments:
        return any(_differs(rules, twin, _plan(rules, matches, twin, found.configurations, ()), ()) for twin in twins)
    every = [_Twin._make(row) for row in rows]
    return _other_modules(rules, found.deployments, every) or any(
        _differs(rules, twin, _plan(rules, matches, twin, found.configurations, found.deployments), found.deployments)
        for twin in every
    )


def _plan(rules: Rules, matches: dict[_Key, _Ids], twin: _Twin, configurations: _Ids, deployments: _Ids) -> TwinPlan:
    if not twin.module_id:
        return rules.plan("", configurations)
    return rules.plan(twin.module_id, matches.get((twin.device_id, twin.module_id), ()), deployments)


def _differs(rules: Rules, twin: _Twin, plan: TwinPlan, deployments: _Ids) -> bool:
    statuses: JsonObject = load(twin.configurations)
    if statuses != plan.statuses:
        return True
    if not plan.settings and plan.document is None:
        return False
    values: JsonObject = load(twin.desired)
    return bool(difference(values, plan.values(values, [])))


def _other_modules(rules: Rules, deployments: _Ids, twins: list[_Twin]) -> bool:
    named = rules.modules_named(deployments)
    if named is None:
        return False
    have = {twin.module_id for twin in twins if twin.module_id}
    return bool(named - have) or any(is_superfluous(twin.module_id, twin.managed_by, named) for twin in twins)
