"""Registrations: what the provisioning service knows of a device, and the bodies that tell of it.

Sources: DPS REST reference, "Runtime Registration" and "Device Registration State"; substatus and the shape of refused
registrations as the Azure CLI's own tests find them on the service.
"""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass
from typing import Any

from iot_core.clock import iso
from iot_core.json_types import JsonObject

__all__ = [
    "RETRY_AFTER_S",
    "Registration",
    "Status",
    "accepted_body",
    "etag_of",
    "operation_body",
    "state_body",
]

RETRY_AFTER_S = 3
"""When to ask again, as the service says in its answer to a registration."""
INITIAL, AGAIN = "initialAssignment", "reprovisionedToInitialAssignment"
"""Substatus of the first assignment, and of every later one to the same hub."""


class Status(enum.StrEnum):
    """How a registration ended."""

    ASSIGNED = "assigned"
    FAILED = "failed"
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """The last registration of a device.

    ``group_id`` is None for an individual enrolment, ``credential`` names what it attested with: "symmetricKey", "x509"
    or "tpm", and ``slot`` which of the two keys. ``wrapped_key`` is the key of the hub's device, base64, as the TPM
    takes it; ``payload`` what a webhook has for the device. Times are unix seconds.
    """

    registration_id: str
    group_id: str | None
    credential: str
    slot: str
    operation_id: str
    status: Status
    created: float
    updated: float
    etag: str
    substatus: str | None = None
    device_id: str | None = None
    assigned_hub: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    wrapped_key: str | None = None
    payload: Any = None


def accepted_body(registration: Registration) -> JsonObject:
    """The answer to a registration that was taken up."""
    return {"operationId": registration.operation_id, "status": "assigning"}


def operation_body(registration: Registration) -> JsonObject:
    """The answer to a question how it went; also that to a refused registration, whose operation id is empty."""
    how = {"enrollmentGroupId": registration.group_id, "authenticationKey": registration.wrapped_key}
    shown = {name: value for name, value in how.items() if value is not None}
    payload = {} if registration.payload is None else {"payload": registration.payload}
    return {
        "operationId": registration.operation_id,
        "status": str(registration.status),
        "registrationState": {registration.credential: shown, **state_body(registration), **payload},
    }


def state_body(registration: Registration) -> JsonObject:
    """The registration as services read it; what it has not got is left out."""
    body = {
        "registrationId": registration.registration_id,
        "createdDateTimeUtc": iso(registration.created),
        "assignedHub": registration.assigned_hub,
        "deviceId": registration.device_id,
        "status": str(registration.status),
        "substatus": registration.substatus,
        "errorCode": registration.error_code,
        "errorMessage": registration.error_message,
        "lastUpdatedDateTimeUtc": iso(registration.updated),
        "etag": registration.etag,
    }
    return {name: value for name, value in body.items() if value is not None}


def etag_of(random: bytes, now: float) -> str:
    """An etag in the service's form, from four random bytes and the time in unix seconds."""
    text = f'"{random.hex()}-0000-0100-0000-{int(now):08x}0000"'
    return base64.b64encode(text.encode("ascii")).decode("ascii")
