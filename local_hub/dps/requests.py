"""What a device sends and hears when it asks for its hub, over whatever protocol (DPS REST reference, "Register
Device").
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from iot_core.dps import Registration, Status, accepted_body, operation_body
from iot_core.dps.fields import bad, object_of
from iot_core.json_types import JsonObject
from local_hub.dps.attestation import Attempt
from local_hub.dps.challenges import TpmKeys

__all__ = ["read_body", "taken", "with_body"]


def read_body(payload: bytes) -> JsonObject:
    """The JSON object of a request, which may be empty; HubError BadRequest."""
    try:
        body: Any = orjson.loads(payload) if payload.strip() else {}
    except orjson.JSONDecodeError as error:
        raise bad(f"The body is not valid JSON: {error}.") from error
    if not isinstance(body, dict):
        raise bad("The body must be a JSON object.")
    return body


def with_body(attempt: Attempt, body: JsonObject) -> Attempt:
    """The attempt with what its body adds; HubError BadRequest, also for the body of another registration."""
    wanted = attempt.login.registration_id
    if str(body.get("registrationId", wanted)).lower() != wanted.lower():
        raise bad("registrationId in the body is not the one that logged in.")
    tpm = object_of(body, "tpm")
    keys = attempt.tpm if tpm is None else TpmKeys.parse(tpm.get("endorsementKey"), tpm.get("storageRootKey"))
    return replace(attempt, tpm=keys, payload=body.get("payload"))


def taken(registration: Registration) -> tuple[int, JsonObject]:
    """Status and body of the answer: the operation to ask for, or the outcome where that is a disabled enrolment."""
    if registration.status is Status.DISABLED:
        return 200, operation_body(registration)
    return 202, accepted_body(registration)
