"""Which hub a device belongs on: this one, unless its enrolment or a webhook names others only.

The policies hashed, geoLatency and static come to the same with one hub. Source: DPS documentation, "How to use
allocation policies", "Understand custom allocation policies".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from iot_core.dps import (
    Allocation,
    CustomAllocation,
    Enrollment,
    Registration,
    Status,
    Tpm,
    allocation_request,
    attestation_body,
    provisioning_error,
)
from iot_core.dps.certificates import describe_certificate
from iot_core.errors import HubError
from iot_core.json_types import JsonObject
from local_hub.dps.attestation import Attempt, Attested
from local_hub.dps.rows import load_enrollment, load_registration, printed
from transport.store import Store

__all__ = ["Allocate", "Allocator", "Decision", "Directed", "is_again"]

Allocate: TypeAlias = Callable[[CustomAllocation, JsonObject], Awaitable[Allocation]]
"""Asks a webhook; HubError CustomAllocationFailed."""
Decision: TypeAlias = Allocation | HubError | None
"""What a webhook said, or how it failed; None where none has a say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directed:
    """An enrolment with what a webhook changed of it, and what that has for the device."""

    enrollment: Enrollment
    payload: Any = None


class Allocator:
    """``assigned_hub`` is the host that devices are told; ``linked`` are all names of this hub, lower case."""

    def __init__(self, store: Store, allocate: Allocate, *, assigned_hub: str, linked: frozenset[str]) -> None:
        self.assigned_hub = assigned_hub
        self._store = store
        self._allocate = allocate
        self._linked = linked

    async def decide(self, attested: Attested, attempt: Attempt) -> Decision:
        """Ask the webhook, if the enrolment has one and its answer would count."""
        enrollment = attested.enrollment
        if enrollment.custom_allocation is None or not enrollment.enabled:
            return None
        previous = self._store.read(lambda connection: load_registration(connection, attested.registration_id))
        if not enrollment.update_hub_assignment and is_again(previous, attested):
            return None
        try:
            return await self._allocate(enrollment.custom_allocation, self._request(attested, attempt, previous))
        except HubError as error:
            return error

    def follow(self, decision: Decision, enrollment: Enrollment) -> Directed:
        """What the device is to get. HubError when the webhook failed, or the device belongs on another hub."""
        if isinstance(decision, HubError):
            raise decision
        hubs = (decision.iot_hub,) if decision is not None else enrollment.iot_hubs
        if hubs and not any(self._is_linked(name) for name in hubs):
            raise provisioning_error("IotHubNotFound", "IoTHub not found.")
        if decision is None:
            return Directed(enrollment=enrollment)
        if decision.initial_twin is not None:
            # It counts whatever the enrolment says of data that is there.
            enrollment = replace(enrollment, initial_twin=decision.initial_twin, migrate_device_data=False)
        return Directed(enrollment=enrollment, payload=decision.payload)

    def _request(self, attested: Attested, attempt: Attempt, previous: Registration | None) -> JsonObject:
        enrollment = attested.enrollment
        row = self._store.read(lambda connection: load_enrollment(connection, enrollment.kind, enrollment.id))
        allowed = [name for name in enrollment.iot_hubs if self._is_linked(name)]
        return allocation_request(
            printed(row) if row is not None else enrollment.document,
            registration_id=attested.registration_id,
            attested=_shown(attested, attempt),
            previous=previous,
            payload=attempt.payload,
            linked_hubs=allowed or [self.assigned_hub],
        )

    def _is_linked(self, name: str) -> bool:
        return name.partition(":")[0].lower() in self._linked


def is_again(before: Registration | None, attested: Attested) -> bool:
    """Whether a device that was assigned comes once more, through the same enrolment."""
    return before is not None and before.status is Status.ASSIGNED and before.group_id == attested.group_id


def _shown(attested: Attested, attempt: Attempt) -> JsonObject:
    """How the device attested, as webhooks are told; no keys."""
    if isinstance(attested.enrollment.attestation, Tpm):
        return {"tpm": attestation_body(attested.enrollment)["tpm"]}
    if attested.credential == "x509":
        primary = {"info": describe_certificate(attempt.chain[0])}
        return {"x509": {"clientCertificates": {"primary": primary}}}
    return {"symmetricKey": {}}
