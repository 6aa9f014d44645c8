"""Device scopes: an edge device owns one, and a child names its parent's (IoT Edge documentation, "Gateways").

An edge device's scope is minted by the hub and never changes. A leaf becomes a child by writing the parent's scope into
its ``deviceScope``; an edge device by writing it into ``parentScopes``.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from iot_core.hub_errors import hub_error
from local_hub.identity_body import DeviceBody
from local_hub.rows import Record

__all__ = ["on_create", "on_update"]

_PREFIX = "ms-azure-iot-edge://"


def on_create(connection: sqlite3.Connection, record: Record, given: DeviceBody) -> Record:
    """A new device with its scopes; a scope given for an edge device is ignored. HubError InvalidDeviceScope."""
    if record.iot_edge:
        scope = f"{_PREFIX}{record.identity.device_id}-{record.generation_id}"
        return replace(record, device_scope=scope, parent_scopes=_parents(connection, given))
    return _leaf(connection, record, given)


def on_update(connection: sqlite3.Connection, before: Record, after: Record, given: DeviceBody) -> Record:
    """A replaced device with its scopes; HubError ArgumentInvalid (an edge device's scope), InvalidDeviceScope."""
    if not after.iot_edge:
        return _leaf(connection, after, given) if not before.iot_edge else _orphan(after)
    if before.iot_edge:
        if given.device_scope != before.device_scope:
            raise hub_error("ArgumentInvalid", "Device scope is immutable: send the edge device's own deviceScope.")
        return replace(after, parent_scopes=_parents(connection, given))
    scope = f"{_PREFIX}{after.identity.device_id}-"
    return replace(after, device_scope=scope, parent_scopes=_parents(connection, given))


def _leaf(connection: sqlite3.Connection, record: Record, given: DeviceBody) -> Record:
    if given.device_scope is None:
        return _orphan(record)
    _check_scope(connection, given.device_scope)
    return replace(record, device_scope=given.device_scope, parent_scopes=(given.device_scope,))


def _orphan(record: Record) -> Record:
    return replace(record, device_scope=None, parent_scopes=())


def _parents(connection: sqlite3.Connection, given: DeviceBody) -> tuple[str, ...]:
    scopes = given.parent_scopes or ()
    for scope in scopes:
        _check_scope(connection, scope)
    return scopes


def _check_scope(connection: sqlite3.Connection, scope: str) -> None:
    found = connection.execute("SELECT 1 FROM identities WHERE device_scope = ? AND iot_edge = 1", (scope,)).fetchone()
    if not found:
        raise hub_error("InvalidDeviceScope", f"No edge device has the scope {scope[:200]!r}.")
