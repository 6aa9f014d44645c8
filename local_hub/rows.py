"""Identities with their twins as rows: the one place that knows the columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from iot_core.twin import Section
from local_hub.json_text import dump, load

__all__ = [
    "COLUMNS",
    "Record",
    "delete",
    "from_row",
    "insert",
    "load_record",
    "load_records",
    "scan",
    "update",
    "update_twins",
    "whole_row",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """An identity and its twin; times are unix seconds, None for never."""

    identity: Identity
    generation_id: str
    etag: int
    status: str = "enabled"
    status_reason: str | None = None
    status_updated: float | None = None
    managed_by: str | None = None
    authentication: JsonObject
    iot_edge: bool = False
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] = ()
    connection_updated: float | None = None
    last_activity: float | None = None
    model_id: str = ""
    twin_etag: int = 1
    version: int = 2
    tags: JsonObject
    desired: Section
    reported: Section
    configurations: JsonObject = field(default_factory=dict)


_NAMES = (
    *("device_id", "module_id", "generation_id", "etag", "status", "status_reason", "status_updated", "managed_by"),
    *("authentication", "iot_edge", "device_scope", "parent_scopes", "connection_updated", "last_activity", "model_id"),
    *("twin_etag", "version", "tags", "desired", "desired_metadata", "desired_version"),
    *("reported", "reported_metadata", "reported_version", "configurations"),
)
COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO identities ({COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
_UPDATE = (
    f"UPDATE identities SET {', '.join(f'{name} = ?' for name in _NAMES[2:])} WHERE device_id = ? AND module_id = ?"
)
_ONE = f"SELECT {COLUMNS} FROM identities WHERE device_id = ? AND module_id = ?"


def key(identity: Identity) -> tuple[str, str]:
    """The primary key of an identity's row."""
    return identity.device_id, identity.module_id or ""


def load_record(connection: sqlite3.Connection, identity: Identity) -> Record | None:
    """The identity's row; None when it does not exist."""
    row = connection.execute(_ONE, key(identity)).fetchone()
    return from_row(row) if row else None


def whole_row(connection: sqlite3.Connection, key: tuple[str, str]) -> tuple[Any, ...]:
    """COLUMNS of a row that is there."""
    row: tuple[Any, ...] = connection.execute(_ONE, key).fetchone()
    return row


def load_records(connection: sqlite3.Connection, identities: Sequence[Identity]) -> dict[Identity, Record]:
    """The rows of many identities; those that do not exist are left out."""
    statement = (
        f"SELECT {COLUMNS} FROM identities WHERE (device_id, module_id) IN "
        "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
    )
    keys = dump([key(identity) for identity in identities])
    records = map(from_row, connection.execute(statement, (keys,)))
    return {record.identity: record for record in records}


def scan(connection: sqlite3.Connection, where: str, parameters: tuple[Any, ...]) -> Iterator[Record]:
    """The rows for which the SQL condition holds, in the order of their keys; read as they are asked for."""
    statement = f"SELECT {COLUMNS} FROM identities WHERE {where} ORDER BY device_id, module_id"
    return map(from_row, connection.execute(statement, parameters))


def insert(connection: sqlite3.Connection, record: Record) -> None:
    """Add a row."""
    connection.execute(_INSERT, _values(record))


def update(connection: sqlite3.Connection, record: Record) -> None:
    """Write all of an existing row."""
    values = _values(record)
    connection.execute(_UPDATE, (*values[2:], *values[:2]))


def update_twins(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Write the tags and desired properties of many rows."""
    connection.executemany(
        "UPDATE identities SET twin_etag = ?, version = ?, tags = ?, desired = ?, desired_metadata = ?, "
        "desired_version = ? WHERE device_id = ? AND module_id = ?",
        [
            (
                record.twin_etag,
                record.version,
                dump(record.tags),
                dump(record.desired.values),
                dump(record.desired.metadata),
                record.desired.version,
                *key(record.identity),
            )
            for record in records
        ],
    )


def update_configured(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Write the desired properties and the configurations of many rows."""
    connection.executemany(
        "UPDATE identities SET twin_etag = ?, version = ?, desired = ?, desired_metadata = ?, desired_version = ?, "
        "configurations = ? WHERE device_id = ? AND module_id = ?",
        [
            (
                record.twin_etag,
                record.version,
                dump(record.desired.values),
                dump(record.desired.metadata),
                record.desired.version,
                dump(record.configurations),
                *key(record.identity),
            )
            for record in records
        ],
    )


def delete(connection: sqlite3.Connection, identity: Identity) -> None:
    """Remove a module's row, or a device's with those of its modules."""
    condition = "device_id = ? AND module_id = ?" if identity.module_id else "device_id = ?"
    parameters = key(identity) if identity.module_id else (identity.device_id,)
    connection.execute(f"DELETE FROM identities WHERE {condition}", parameters)


def from_row(row: tuple[Any, ...]) -> Record:
    """A record from a row of COLUMNS."""
    return Record(
        identity=Identity(row[0], row[1] or None),
        generation_id=row[2],
        etag=row[3],
        status=row[4],
        status_reason=row[5],
        status_updated=row[6],
        managed_by=row[7],
        authentication=load(row[8]),
        iot_edge=bool(row[9]),
        device_scope=row[10],
        parent_scopes=tuple(load(row[11])),
        connection_updated=row[12],
        last_activity=row[13],
        model_id=row[14],
        twin_etag=row[15],
        version=row[16],
        tags=load(row[17]),
        desired=Section(load(row[18]), load(row[19]), row[20], "desired"),
        reported=Section(load(row[21]), load(row[22]), row[23], "reported"),
        configurations=load(row[24]),
    )


def _values(record: Record) -> tuple[Any, ...]:
    return (
        *key(record.identity),
        record.generation_id,
        record.etag,
        record.status,
        record.status_reason,
        record.status_updated,
        record.managed_by,
        dump(record.authentication),
        int(record.iot_edge),
        record.device_scope,
        dump(list(record.parent_scopes)),
        record.connection_updated,
        record.last_activity,
        record.model_id,
        record.twin_etag,
        record.version,
        dump(record.tags),
        dump(record.desired.values),
        dump(record.desired.metadata),
        record.desired.version,
        dump(record.reported.values),
        dump(record.reported.metadata),
        record.reported.version,
        dump(record.configurations),
    )
