"""Registrations: devices ask for their hub, and services look (DPS REST reference, "Runtime Registration", "Device
Registration State").

A device is assigned while it asks, in one commit with its registration; the service says "assigning" nevertheless and
tells the outcome when it is asked for the operation. Where a webhook allocates, it is asked before that commit.
"""

from __future__ import annotations

import base64
import os
import sqlite3
import uuid
from dataclasses import replace

from iot_core.dps import Registration, Status, Tpm, provisioning_error
from iot_core.dps.registration import AGAIN, INITIAL, etag_of
from iot_core.errors import HubError
from iot_core.identity import Identity, generate_key
from iot_core.json_types import JsonObject
from local_hub.changes import Change, Core
from local_hub.dps.allocation import Allocator, Decision, is_again
from local_hub.dps.assignment import Assignment
from local_hub.dps.attestation import Attempt, Attested, attest, tpm_enrollment, unauthorized
from local_hub.dps.challenges import Challenges
from local_hub.dps.rows import delete_registration, load_registration, load_registrations, save_registration
from local_hub.preconditions import ANY
from local_hub.registry.identity_body import authentication_of
from local_hub.rows import load_record

__all__ = ["Registrations"]


class Registrations:
    """``id_scope`` is what devices have to name."""

    def __init__(self, core: Core, assignment: Assignment, allocator: Allocator, *, id_scope: str) -> None:
        self._core = core
        self._assignment = assignment
        self._allocator = allocator
        self._challenges = Challenges()
        self._id_scope = id_scope

    # -- for devices; HubError Unauthorized when the device is not who it says

    def check(self, attempt: Attempt) -> Attested:
        """Returns when the device may ask."""
        return self._core.store.read(lambda connection: self._attested(connection, attempt))

    def takes_tpm(self, attempt: Attempt) -> bool:
        """Whether a device that shows neither token nor certificate may ask for a challenge."""
        wanted = attempt.login.registration_id
        return self._is_ours(attempt) and self._core.store.read(lambda each: tpm_enrollment(each, wanted)) is not None

    def challenge(self, attempt: Attempt) -> str:
        """The key that the device's TPM has to sign with, wrapped for it, base64; HubError BadRequest too."""
        wanted = attempt.login.registration_id
        found = self._core.store.read(lambda connection: tpm_enrollment(connection, wanted))
        if not self._is_ours(attempt) or found is None or attempt.tpm is None or not attempt.tpm.fit(found[1]):
            raise unauthorized()
        return attempt.tpm.wrap(self._challenges.key(*found, self._core.token_clock.now()))

    async def register(self, attempt: Attempt) -> Registration:
        """Assign the device to the hub; the registration says how that went, and is on disk."""
        # First without the writer, which nobody may keep busy who is not let in.
        decision = await self._allocator.decide(self.check(attempt), attempt)

        def work(connection: sqlite3.Connection) -> Change[Registration]:
            change = self._register(connection, self._attested(connection, attempt), attempt, decision)
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

    def _is_ours(self, attempt: Attempt) -> bool:
        return attempt.login.id_scope.lower() == self._id_scope.lower()

    def _attested(self, connection: sqlite3.Connection, attempt: Attempt) -> Attested:
        if not self._is_ours(attempt):
            raise unauthorized()
        return attest(connection, attempt, self._challenges, self._core.token_clock.now())

    # -- inside the write

    def _register(
        self, connection: sqlite3.Connection, attested: Attested, attempt: Attempt, decision: Decision
    ) -> Change[Registration]:
        before = load_registration(connection, attested.registration_id)
        base, enrollment = self._record(attested, before), attested.enrollment
        if not enrollment.enabled:
            return Change(result=replace(base, status=Status.DISABLED, operation_id=""))
        try:
            directed = self._allocator.follow(decision, enrollment)
            base = replace(base, payload=directed.payload)
            return self._assign(connection, replace(attested, enrollment=directed.enrollment), attempt, base, before)
        except HubError as error:
            failed = replace(base, status=Status.FAILED, error_code=error.code, error_message=error.message)
            return Change(result=failed)

    def _assign(
        self,
        connection: sqlite3.Connection,
        attested: Attested,
        attempt: Attempt,
        base: Registration,
        before: Registration | None,
    ) -> Change[Registration]:
        again = is_again(before, attested)
        # What the enrolment says of the device's id counts for first registrations only.
        known = before.device_id if before is not None and again else None
        device_id = known or attested.enrollment.device_id or attested.registration_id
        identity = Identity(device_id)
        authentication = attested.authentication or _own_key(connection, identity)
        # First, as it may fail: then nothing has been written.
        wrapped_key = _wrapped(attempt, attested, authentication)
        change = self._assignment.assign(connection, attested.enrollment, identity, authentication, again=again)
        assigned = replace(
            base,
            device_id=device_id,
            assigned_hub=self._allocator.assigned_hub,
            substatus=AGAIN if again else INITIAL,
            wrapped_key=wrapped_key,
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


def _own_key(connection: sqlite3.Connection, identity: Identity) -> JsonObject:
    """For a device that has a TPM: the keys that it has on the hub, else new ones."""
    record = load_record(connection, identity)
    if record is not None and record.authentication.get("type") == "sas":
        return record.authentication
    keys = {"primaryKey": generate_key(), "secondaryKey": generate_key()}
    return authentication_of({"symmetricKey": keys}, may_be_none=False)


def _wrapped(attempt: Attempt, attested: Attested, authentication: JsonObject) -> str | None:
    """The primary key as the TPM takes it; HubError BadRequest without the TPM's keys."""
    if not isinstance(attested.enrollment.attestation, Tpm):
        return None
    if attempt.tpm is None:
        raise provisioning_error("BadRequest", "A registration by TPM needs tpm with its two keys in the body.")
    return attempt.tpm.wrap(base64.b64decode(authentication["symmetricKey"]["primaryKey"]))


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
