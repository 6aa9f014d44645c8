"""Enrolments as services manage them (DPS REST reference, "Individual Enrollment", "Enrollment Group").

A PUT without If-Match creates and is refused when the enrolment exists; with it, it replaces. A DELETE needs no
If-Match. Every write returns after its commit.
"""

from __future__ import annotations

import os
import re
import sqlite3
from typing import Any

from iot_core import query
from iot_core.clock import Clock
from iot_core.dps import Kind, attestation_body, parse_enrollment, provisioning_error, state_body
from iot_core.dps.registration import etag_of
from iot_core.errors import HubError, QueryError
from iot_core.json_types import JsonObject
from local_hub.dps.rows import (
    EnrollmentRow,
    delete_enrollment,
    load_enrollment,
    load_enrollments,
    load_registration,
    printed,
    save_enrollment,
)
from local_hub.preconditions import ANY
from transport.store import Store

__all__ = ["Enrollments"]

_LISTS = {Kind.INDIVIDUAL: "enrollments", Kind.GROUP: "enrollmentGroups"}
"""What the collections are called, in queries and in bulk bodies."""
_MODES = {mode.lower(): mode for mode in ("create", "update", "updateIfMatchETag", "delete")}
BULK_MOST = 10
"""Enrolments in one bulk call (DPS documentation, "Quotas and limits")."""


class Enrollments:
    """Both kinds; ids in any case of letters."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def get(self, kind: Kind, enrollment_id: str) -> JsonObject:
        """The enrolment without its keys, an individual one with its registration; HubError EnrollmentNotFound."""

        def work(connection: sqlite3.Connection) -> JsonObject:
            row = _stored(connection, kind, enrollment_id)
            found = load_registration(connection, enrollment_id) if kind is Kind.INDIVIDUAL else None
            own = found is not None and found.group_id is None
            return printed(row) | ({"registrationState": state_body(found)} if found is not None and own else {})

        return self._store.read(work)

    def attestation(self, kind: Kind, enrollment_id: str) -> JsonObject:
        """The attestation with its keys; HubError EnrollmentNotFound."""
        row = self._store.read(lambda connection: _stored(connection, kind, enrollment_id))
        return attestation_body(row.enrollment)

    async def put(self, kind: Kind, enrollment_id: str, body: JsonObject, if_match: str | None) -> JsonObject:
        """Create or replace; gives the enrolment with its keys.

        HubError BadRequest, NotImplemented, Conflict (no If-Match), EnrollmentNotFound (If-Match), PreconditionFailed.
        """

        def work(connection: sqlite3.Connection) -> EnrollmentRow:
            return self._put(connection, kind, enrollment_id, body, if_match)

        return printed(await self._store.write(work), secret=True)

    async def delete(self, kind: Kind, enrollment_id: str, if_match: str | None) -> None:
        """Delete with the registrations made through it; HubError EnrollmentNotFound, PreconditionFailed."""
        await self._store.write(lambda connection: _delete(connection, kind, enrollment_id, if_match))

    def query(self, kind: Kind, text: str) -> list[JsonObject]:
        """Rows of ``SELECT … FROM enrollments`` or ``enrollmentGroups``, all for an empty text.

        HubError BadRequest for a query that does not parse.
        """

        def work(connection: sqlite3.Connection) -> list[JsonObject]:
            return [printed(row) for row in load_enrollments(connection, kind)]

        documents = self._store.read(work)
        return _selected(text, _LISTS[kind], documents) if text.strip() else documents

    async def bulk(self, kind: Kind, body: JsonObject) -> JsonObject:
        """Up to 10 changes, each on its own: ``{"isSuccessful", "errors"}``; HubError BadRequest for the whole call."""
        mode = _MODES.get(str(body.get("mode", "")).lower())
        items = body.get(_LISTS[kind])
        if mode is None or not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            text = f"A bulk call needs {_LISTS[kind]}, an array, and mode: {', '.join(_MODES.values())}."
            raise provisioning_error("BadRequest", text)
        if len(items) > BULK_MOST:
            raise provisioning_error("BadRequest", f"A bulk call may hold {BULK_MOST} enrolments, not {len(items)}.")
        errors = [error for item in items if (error := await self._one(kind, mode, item))]
        return {"isSuccessful": not errors, "errors": errors}

    async def _one(self, kind: Kind, mode: str, item: JsonObject) -> JsonObject | None:
        enrollment_id = str(item.get(kind.value, ""))
        etag = str(item.get("etag") or "") if mode == "updateIfMatchETag" else ANY
        try:
            if mode == "delete":
                await self.delete(kind, enrollment_id, None)
            else:
                await self.put(kind, enrollment_id, item, None if mode == "create" else etag)
        except HubError as error:
            return {kind.value: enrollment_id, "errorCode": error.code, "errorStatus": error.message}
        return None

    def _put(
        self, connection: sqlite3.Connection, kind: Kind, enrollment_id: str, body: JsonObject, if_match: str | None
    ) -> EnrollmentRow:
        before = load_enrollment(connection, kind, enrollment_id)
        if before is not None and if_match is None:
            raise provisioning_error("Conflict", f"Enrollment {enrollment_id} already exists.")
        if if_match is not None:
            _check(_stored(connection, kind, enrollment_id), if_match)
        enrollment = parse_enrollment(kind, enrollment_id, body, before.enrollment if before else None)
        now = self._clock.now()
        etag = etag_of(os.urandom(4), now)
        row = EnrollmentRow(enrollment=enrollment, etag=etag, created=before.created if before else now, updated=now)
        save_enrollment(connection, row)
        return row


def _delete(connection: sqlite3.Connection, kind: Kind, enrollment_id: str, if_match: str | None) -> None:
    row = _stored(connection, kind, enrollment_id)
    _check(row, if_match)
    delete_enrollment(connection, row.enrollment)


def _stored(connection: sqlite3.Connection, kind: Kind, enrollment_id: str) -> EnrollmentRow:
    row = load_enrollment(connection, kind, enrollment_id)
    if row is None:
        raise provisioning_error("EnrollmentNotFound", f"Enrollment {enrollment_id[:140]} not found.")
    return row


def _check(row: EnrollmentRow, if_match: str | None) -> None:
    if if_match not in (None, ANY, row.etag):
        raise provisioning_error("PreconditionFailed", "Precondition failed: the etag is not the enrollment's.")


def _selected(text: str, collection: str, documents: list[JsonObject]) -> list[JsonObject]:
    """The query's rows; its language is that of twins, over another collection."""
    pattern = re.compile(rf"\bFROM\s+{collection}\b", re.IGNORECASE)
    if not pattern.search(text):
        raise provisioning_error("BadRequest", f"The query must select FROM {collection}.")
    try:
        rows: list[Any] = list(query.run(pattern.sub("FROM devices", text, count=1), documents))
    except QueryError as error:
        raise provisioning_error("BadRequest", f"The query is not valid: {error}.") from error
    return rows
