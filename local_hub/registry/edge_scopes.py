"""Device scopes: an edge device owns one, and a child names its parent's (IoT Edge documentation, "Gateways").

An edge device's scope is minted by the hub and never changes. A leaf becomes a child by writing the parent's scope into
its ``deviceScope``; an edge device by writing it into ``parentScopes``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from iot_core import limits
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from local_hub.json_text import dump, load
from local_hub.registry.identity_body import DeviceBody
from local_hub.rows import Record

__all__ = ["on_create", "on_update"]

_PREFIX = "ms-azure-iot-edge://"


def on_create(connection: sqlite3.Connection, record: Record, given: DeviceBody) -> Record:
    """A new device with its scopes; a scope given for an edge device is ignored. HubError InvalidDeviceScope."""
    if record.iot_edge:
        scope = f"{_PREFIX}{record.identity.device_id}-{record.generation_id}"
        record = replace(record, device_scope=scope)
        return replace(record, parent_scopes=_parents(connection, record, given))
    return _leaf(connection, record, given)


def on_update(connection: sqlite3.Connection, before: Record, after: Record, given: DeviceBody) -> Record:
    """A replaced device with its scopes.

    HubError ArgumentInvalid (an edge device's scope), InvalidDeviceScope, and ServiceUnavailable for a leaf that
    becomes an edge device with its parent's scope still in ``deviceScope``: the service answers just that (observed
    live).
    """
    if not after.iot_edge:
        return _leaf(connection, after, given) if not before.iot_edge else _orphan(after)
    if before.iot_edge:
        if given.device_scope != before.device_scope:
            raise hub_error("ArgumentInvalid", "Device scope is immutable: send the edge device's own deviceScope.")
        return replace(after, parent_scopes=_parents(connection, before, given))
    if given.device_scope is not None:
        text = "A device that becomes an IoT Edge device needs an empty deviceScope; its parent goes to parentScopes."
        raise hub_error("ServiceUnavailable", text)
    after = replace(after, device_scope=f"{_PREFIX}{after.identity.device_id}-")
    return replace(after, parent_scopes=_parents(connection, after, given))


def _leaf(connection: sqlite3.Connection, record: Record, given: DeviceBody) -> Record:
    if given.device_scope is None:
        return _orphan(record)
    _check_parent(connection, record, given.device_scope)
    return replace(record, device_scope=given.device_scope, parent_scopes=(given.device_scope,))


def _orphan(record: Record) -> Record:
    return replace(record, device_scope=None, parent_scopes=())


def _parents(connection: sqlite3.Connection, edge: Record, given: DeviceBody) -> tuple[str, ...]:
    """The parent of an edge device, checked: it exists, has room, and is neither the device itself nor below it."""
    scopes = given.parent_scopes or ()
    for scope in scopes:
        _check_parent(connection, edge, scope)
        above = list(_line(connection, scope))
        if edge.device_scope in above:
            raise _invalid(f"Device {edge.identity} cannot be its own parent, nor a parent of its parents.")
        if len(above) >= limits.EDGE_NESTING:
            raise _invalid(f"IoT Edge devices nest {limits.EDGE_NESTING} levels at most.")
    return scopes


def _line(connection: sqlite3.Connection, scope: str) -> Iterator[str]:
    """The scope and those of its parents, upwards; ends at the deepest nesting there may be."""
    for _ in range(limits.EDGE_NESTING):
        yield scope
        query = "SELECT parent_scopes FROM identities WHERE device_scope = ? AND iot_edge = 1"
        row = connection.execute(query, (scope,)).fetchone()
        parents = load(row[0]) if row else []
        if not parents:
            return
        scope = parents[0]


def _check_parent(connection: sqlite3.Connection, child: Record, scope: str) -> None:
    """HubError InvalidDeviceScope unless an edge device has the scope, and room for one more child."""
    found = connection.execute("SELECT 1 FROM identities WHERE device_scope = ? AND iot_edge = 1", (scope,)).fetchone()
    if not found:
        raise _invalid(f"No edge device has the scope {scope[:200]!r}.")
    others = (
        "SELECT count(*) FROM identities WHERE parent_scopes = ? AND parent_scopes != '[]' AND device_id != ? "
        "AND module_id = ''"
    )
    if connection.execute(others, (dump([scope]), child.identity.device_id)).fetchone()[0] >= limits.EDGE_CHILDREN:
        raise _invalid(f"An IoT Edge device has {limits.EDGE_CHILDREN} children at most.")


def _invalid(text: str) -> HubError:
    return hub_error("InvalidDeviceScope", text)
