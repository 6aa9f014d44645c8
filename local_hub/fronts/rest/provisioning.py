"""The provisioning service over HTTPS: what devices call (DPS REST reference, "Runtime Registration") and what services
call ("Individual Enrollment", "Enrollment Group", "Device Registration State").

Devices name the ID scope as the first segment of the path. They are judged before their body is read, and by the
operation once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from iot_core.dps import (
    Kind,
    ProvisioningLogin,
    Registration,
    operation_body,
    provisioning_error,
    state_body,
)
from iot_core.dps.registration import RETRY_AFTER_S
from iot_core.errors import IdentityError
from iot_core.identity import validate_registration_id
from iot_core.json_types import JsonObject
from local_hub.auth.authenticator import Permission, Principal
from local_hub.dps.attestation import Attempt, unauthorized
from local_hub.dps.requests import read_body, taken, with_body
from local_hub.fronts.envelopes import Envelope, error_body
from local_hub.fronts.rest.call import Call, Reply, etag_header
from local_hub.fronts.rest.paging import page_of
from local_hub.hub import Hub

__all__: list[str] = []

_Handler = Callable[[Call], Awaitable[Reply]]


def device(hub: Hub, token: str, resource: str, chain: tuple[bytes, ...]) -> Principal:
    """The guard of what devices call: an enrolment that lets the device of the path in.

    A device with a TPM shows nothing at first; ``register`` answers it with its challenge.
    """
    scope, _, registration_id = resource.split("/")[1:4]
    attempt, registrations = _attempt(scope, registration_id, token, chain), hub.provisioning.registrations
    if token or not registrations.takes_tpm(attempt):
        registrations.check(attempt)
    return Principal(name=registration_id, rights=Permission(0), expires_at=0.0)


def service(hub: Hub, token: str, resource: str, _chain: tuple[bytes, ...]) -> Principal:
    """The guard of what services call: the policy provisioningserviceowner."""
    return hub.provisioning.authorize(token, resource)


async def register(call: Call) -> Reply:
    """202 and the operation to ask for, 200 and the outcome where that is a disabled enrolment.

    401 with a challenge for a TPM that has not shown a token yet.
    """
    attempt, registrations = with_body(_attempt_of(call), read_body(call.payload)), call.hub.provisioning.registrations
    if attempt.tpm is not None and not attempt.token and registrations.takes_tpm(attempt):
        return _challenge(call.hub, registrations.challenge(attempt))
    status, body = taken(await registrations.register(attempt))
    return Reply(status=status, body=body, headers={"Retry-After": str(RETRY_AFTER_S)} if status == 202 else {})


def _challenge(hub: Hub, wrapped: str) -> Reply:
    body = orjson.loads(error_body(unauthorized(), Envelope.PROVISIONING, hub.clock.now()))
    return Reply(status=401, body={**body, "authenticationKey": wrapped, "keyName": "registration"})


async def get_operation(call: Call) -> Reply:
    found = call.hub.provisioning.registrations.operation(_attempt_of(call), call.params["operation"])
    return Reply(body=operation_body(found))


async def look_up(call: Call) -> Reply:
    """The state alone, without an operation around it."""
    found = call.hub.provisioning.registrations.lookup(_attempt_of(call))
    return Reply(body=operation_body(found)["registrationState"])


async def get_registration(call: Call) -> Reply:
    return _state(call.hub.provisioning.registrations.get(call.params["id"]))


async def delete_registration(call: Call) -> Reply:
    await call.hub.provisioning.registrations.delete(call.params["id"], call.if_match)
    return Reply(status=204)


async def query_registrations(call: Call) -> Reply:
    """Those made through the group of that id."""
    rows = [state_body(found) for found in call.hub.provisioning.registrations.of_group(call.params["id"])]
    return page_of(call, rows, "deviceRegistration")


def get(kind: Kind) -> _Handler:
    async def handler(call: Call) -> Reply:
        body = call.hub.provisioning.enrollments.get(kind, call.params["id"])
        return Reply(body=body, headers=etag_header(body))

    return handler


def put(kind: Kind) -> _Handler:
    async def handler(call: Call) -> Reply:
        enrollments = call.hub.provisioning.enrollments
        body = await enrollments.put(kind, call.params["id"], call.json_object(), call.if_match)
        return Reply(body=body, headers=etag_header(body))

    return handler


def delete(kind: Kind) -> _Handler:
    async def handler(call: Call) -> Reply:
        await call.hub.provisioning.enrollments.delete(kind, call.params["id"], call.if_match)
        return Reply(status=204)

    return handler


def attestation(kind: Kind) -> _Handler:
    async def handler(call: Call) -> Reply:
        return Reply(body=call.hub.provisioning.enrollments.attestation(kind, call.params["id"]))

    return handler


def bulk(kind: Kind) -> _Handler:
    async def handler(call: Call) -> Reply:
        return Reply(body=await call.hub.provisioning.enrollments.bulk(kind, call.json_object()))

    return handler


def query(kind: Kind) -> _Handler:
    item_type = "enrollment" if kind is Kind.INDIVIDUAL else "enrollmentGroup"

    async def handler(call: Call) -> Reply:
        text = _query_text(call.json_object() if call.payload else {})
        return page_of(call, call.hub.provisioning.enrollments.query(kind, text), item_type)

    return handler


def _query_text(body: JsonObject) -> str:
    text: Any = body.get("query") or ""
    if not isinstance(text, str):
        raise provisioning_error("BadRequest", "query must be a text.")
    return text


def _attempt_of(call: Call) -> Attempt:
    token = call.headers.get("authorization", "")
    return _attempt(call.params["scope"], call.params["registration"], token, call.chain)


def _attempt(scope: str, registration_id: str, token: str, chain: tuple[bytes, ...]) -> Attempt:
    try:
        login = ProvisioningLogin(id_scope=scope, registration_id=validate_registration_id(registration_id))
    except IdentityError as error:
        raise provisioning_error("BadRequest", f"{error}.") from error
    return Attempt(login=login, token=token, chain=chain)


def _state(registration: Registration) -> Reply:
    body = state_body(registration)
    return Reply(body=body, headers=etag_header(body))
