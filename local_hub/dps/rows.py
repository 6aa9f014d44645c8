"""Enrolments and registrations as rows. Ids count without regard to the case of their letters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from iot_core.clock import iso
from iot_core.dps import Enrollment, Kind, Registration, Status, attestation_body, parse_enrollment
from iot_core.json_types import JsonObject
from local_hub.json_text import dump, load

__all__ = [
    "EnrollmentRow",
    "delete_enrollment",
    "delete_registration",
    "load_enrollment",
    "load_enrollments",
    "load_registration",
    "load_registrations",
    "printed",
    "save_enrollment",
    "save_registration",
]

_COLUMNS = "id, document, etag, created, updated"


@dataclass(frozen=True, kw_only=True, slots=True)
class EnrollmentRow:
    """An enrolment and what the service adds to it; times are unix seconds."""

    enrollment: Enrollment
    etag: str
    created: float
    updated: float


def load_enrollment(connection: sqlite3.Connection, kind: Kind, enrollment_id: str) -> EnrollmentRow | None:
    """The enrolment of that id; None when there is none."""
    statement = f"SELECT {_COLUMNS} FROM dps_enrollments WHERE kind = ? AND key = ?"
    row = connection.execute(statement, (kind.value, enrollment_id.lower())).fetchone()
    return _enrollment(kind, row) if row else None


def load_enrollments(connection: sqlite3.Connection, kind: Kind) -> Iterator[EnrollmentRow]:
    """All of one kind, in the order of their ids."""
    statement = f"SELECT {_COLUMNS} FROM dps_enrollments WHERE kind = ? ORDER BY key"
    return (_enrollment(kind, row) for row in connection.execute(statement, (kind.value,)))


def save_enrollment(connection: sqlite3.Connection, row: EnrollmentRow) -> None:
    """Add or replace."""
    given = row.enrollment
    values = (given.kind.value, given.id.lower(), given.id, dump(given.document), row.etag, row.created, row.updated)
    connection.execute("INSERT OR REPLACE INTO dps_enrollments VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def delete_enrollment(connection: sqlite3.Connection, enrollment: Enrollment) -> None:
    """Remove it with the registrations made through it; devices on the hub stay."""
    key = enrollment.id.lower()
    connection.execute("DELETE FROM dps_enrollments WHERE kind = ? AND key = ?", (enrollment.kind.value, key))
    own = "group_key = ?" if enrollment.kind is Kind.GROUP else "key = ? AND group_key = ''"
    connection.execute(f"DELETE FROM dps_registrations WHERE {own}", (key,))


def printed(row: EnrollmentRow, *, secret: bool = False) -> JsonObject:
    """The enrolment as services read it, with keys and certificates where it is ``secret``."""
    return {
        **row.enrollment.document,
        "attestation": attestation_body(row.enrollment, secret=secret),
        "etag": row.etag,
        "createdDateTimeUtc": iso(row.created),
        "lastUpdatedDateTimeUtc": iso(row.updated),
    }


def load_registration(connection: sqlite3.Connection, registration_id: str) -> Registration | None:
    """The registration of that id; None when there is none."""
    statement = "SELECT document FROM dps_registrations WHERE key = ?"
    row = connection.execute(statement, (registration_id.lower(),)).fetchone()
    return _registration(row[0]) if row else None


def load_registrations(connection: sqlite3.Connection, group_id: str) -> list[Registration]:
    """Those made through a group, in the order of their ids."""
    statement = "SELECT document FROM dps_registrations WHERE group_key = ? ORDER BY key"
    return [_registration(document) for (document,) in connection.execute(statement, (group_id.lower(),))]


def save_registration(connection: sqlite3.Connection, registration: Registration) -> None:
    """Add or replace."""
    values = (
        registration.registration_id.lower(),
        (registration.group_id or "").lower(),
        dump(asdict(registration)),
    )
    connection.execute("INSERT OR REPLACE INTO dps_registrations VALUES (?, ?, ?)", values)


def delete_registration(connection: sqlite3.Connection, registration_id: str) -> None:
    """Forget it; the next registration is a first one."""
    connection.execute("DELETE FROM dps_registrations WHERE key = ?", (registration_id.lower(),))


def _enrollment(kind: Kind, row: tuple[Any, ...]) -> EnrollmentRow:
    enrollment = parse_enrollment(kind, row[0], load(row[1]), None)
    return EnrollmentRow(enrollment=enrollment, etag=row[2], created=row[3], updated=row[4])


def _registration(document: str) -> Registration:
    fields = load(document)
    return Registration(**{**fields, "status": Status(fields["status"])})
