"""Registrations: devices ask for their hub, and services look (DPS REST reference, "Runtime Registration", "Device
Registration State").

A device is assigned while it asks, in one commit with its registration; the service says "assigning" nevertheless and
tells the outcome when it is asked for the operation.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from dataclasses import replace

from iot_core.dps import Registration, Status, provisioning_error
from iot_core.dps.registration import AGAIN, INITIAL, etag_of
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.changes import Change, Core
from local_hub.dps.assignment import Assignment
from local_hub.dps.attestation import Attempt, Attested, attest, unauthorized
from local_hub.dps.rows import delete_registration, load_registration, load_registrations, save_registration
from local_hub.preconditions import ANY

__all__ = ["Registrations"]


class Registrations:
    """``assigned_hub`` is the host that devices are told; ``linked`` are all names of this hub, lower case."""

    def __init__(
        self, core: Core, assignment: Assignment, *, id_scope: str, assigned_hub: str, linked: frozenset[str]
    ) -> None:
        self._core = core
        self._assignment = assignment
        self._id_scope = id_scope
        self._assigned_hub = assigned_hub
        self._linked = linked

    # -- for devices; HubError Unauthorized when the device is not who it says

    def check(self, attempt: Attempt) -> None:
        """Returns when the device may ask."""
        self._core.store.read(lambda connection: self._attested(connection, attempt))

    async def register(self, attempt: Attempt) -> Registration:
        """Assign the device to the hub; the registration says how that went, and is on disk."""
        # First without the writer, which nobody may keep busy who is not let in.
        self.check(attempt)

        def work(connection: sqlite3.Connection) -> Change[Registration]:
            change = self._register(connection, self._attested(connection, attempt))
            save_registration(connection, change.result)
            return change

        return await self._core.commit(work)

    def operation(self, attempt: Attempt, operation_id: str) -> Registration:
        """The registration that an operation made; HubError OperationNotFound for any but the device's last one."""
        found = self.lookup(attempt, "OperationNotFound")
        if not operation_id or found.operation_id != operation_id:
            raise provisioning_error("OperationNotFound", "Operation not found.")
        return found

    def lookup(self, attempt: Attempt, missing: str = "RegistrationNotFound") -> Registration:
        """The device's last registration; HubError ``missing``."""

        def work(connection: sqlite3.Connection) -> Registration:
            attested = self._attested(connection, attempt)
            return _stored(connection, attested.registration_id, missing)

        return self._core.store.read(work)

    # -- for services

    def get(self, registration_id: str) -> Registration:
        """HubError RegistrationNotFound."""
        return self._core.store.read(lambda connection: _stored(connection, registration_id))

    def of_group(self, group_id: str) -> list[Registration]:
        """Those made through a group; none for an unknown one."""
        return self._core.store.read(lambda connection: load_registrations(connection, group_id))

    async def delete(self, registration_id: str, if_match: str | None) -> None:
        """Forget one; the device on the hub stays. HubError RegistrationNotFound, PreconditionFailed."""

        def work(connection: sqlite3.Connection) -> None:
            found = _stored(connection, registration_id)
            if if_match not in (None, ANY, found.etag):
                raise provisioning_error("PreconditionFailed", "Precondition failed: the etag is not the record's.")
            delete_registration(connection, registration_id)

        await self._core.store.write(work)

    def _attested(self, connection: sqlite3.Connection, attempt: Attempt) -> Attested:
        if attempt.login.id_scope.lower() != self._id_scope.lower():
            raise unauthorized()
        return attest(connection, attempt, self._core.token_clock.now())

    def _register(self, connection: sqlite3.Connection, attested: Attested) -> Change[Registration]:
        before = load_registration(connection, attested.registration_id)
        base, enrollment = self._record(attested, before), attested.enrollment
        if not enrollment.enabled:
            return Change(result=replace(base, status=Status.DISABLED, operation_id=""))
        try:
            if enrollment.iot_hubs and not self._linked & {_bare(name) for name in enrollment.iot_hubs}:
                raise provisioning_error("IotHubNotFound", "IoTHub not found.")
            return self._assign(connection, attested, base, before)
        except HubError as error:
            failed = replace(base, status=Status.FAILED, error_code=error.code, error_message=error.message)
            return Change(result=failed)

    def _assign(
        self, connection: sqlite3.Connection, attested: Attested, base: Registration, before: Registration | None
    ) -> Change[Registration]:
        again = before is not None and before.status is Status.ASSIGNED and before.group_id == attested.group_id
        # What the enrolment says of the device's id counts for first registrations only.
        known = before.device_id if before is not None and again else None
        device_id = known or attested.enrollment.device_id or attested.registration_id
        change = self._assignment.assign(
            connection, attested.enrollment, Identity(device_id), attested.authentication, again=again
        )
        assigned = replace(
            base,
            device_id=device_id,
            assigned_hub=self._assigned_hub,
            substatus=AGAIN if again else INITIAL,
        )
        return Change(result=assigned, pushes=change.pushes, events=change.events, ended=change.ended)

    def _record(self, attested: Attested, before: Registration | None) -> Registration:
        """A registration of now, assigned to nothing yet."""
        now = self._core.clock.now()
        return Registration(
            registration_id=attested.registration_id,
            group_id=attested.group_id,
            credential=attested.credential,
            slot=attested.slot,
            operation_id=_operation_id(),
            status=Status.ASSIGNED,
            created=before.created if before else now,
            updated=now,
            etag=etag_of(os.urandom(4), now),
        )


def _stored(
    connection: sqlite3.Connection, registration_id: str, missing: str = "RegistrationNotFound"
) -> Registration:
    found = load_registration(connection, registration_id)
    if found is None:
        what = "Operation" if missing == "OperationNotFound" else "Registration"
        raise provisioning_error(missing, f"{what} not found.")
    return found


def _operation_id() -> str:
    return f"4.{os.urandom(8).hex()}.{uuid.UUID(bytes=os.urandom(16), version=4)}"


def _bare(name: str) -> str:
    return name.partition(":")[0].lower()
