"""The provisioning service over AMQP: a device sends its requests on one link, and the answers come on another.

A request names its operation in application properties; its answer has the same correlation id, and a refusal is the
outcome of the request (the device SDKs for Node.js, C and .NET).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from iot_core import amqp
from iot_core.amqp import ACCEPTED, AmqpViolation, Delivery, ErrorCondition, Receiver, Rejected, error_condition, errors
from iot_core.amqp.types import Int, Symbol
from iot_core.amqp_messages import body_bytes
from iot_core.dps import ProvisioningLogin, operation_body
from iot_core.dps.fields import bad
from iot_core.dps.registration import RETRY_AFTER_S
from iot_core.errors import HubError, MessageError
from iot_core.json_types import JsonObject
from local_hub.controls.faults import CutError, LostError
from local_hub.dps.admission import Kind
from local_hub.dps.attestation import Attempt, unauthorized
from local_hub.dps.requests import read_body, taken, with_body
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.node import Node
from local_hub.fronts.amqp.requests import Answers
from local_hub.fronts.envelopes import Envelope, error_body

__all__ = ["ProvisioningAnswers", "ProvisioningRequests", "let_in", "provisioning_condition"]

TYPE, OPERATION_ID = "iotdps-operation-type", "iotdps-operation-id"
REGISTER, STATUS, LOOK_UP = "iotdps-register", "iotdps-get-operationstatus", "iotdps-get-registration"
RETRY_AFTER = ("retry-after", "Retry-After")
"""The spellings that SDKs look for."""
_CONDITIONS: Mapping[int, str] = MappingProxyType(
    {
        400: errors.ARGUMENT_ERROR,
        401: errors.UNAUTHORIZED_ACCESS,
        404: errors.NOT_FOUND,
        409: errors.NOT_ALLOWED,
        412: errors.MS_PRECONDITION_FAILED,
        429: errors.DEVICE_CONTAINER_THROTTLED,
        501: errors.NOT_IMPLEMENTED,
    }
)
"""Status → condition; every other error is an internal one."""

_log = logging.getLogger(__name__)


def let_in(client: Client, login: ProvisioningLogin) -> Attempt:
    """The device that a link is of: the one that logged in, else the one its certificate is of. HubError."""
    provisioning = client.hub.provisioning
    provisioning.admission.check_login(login.registration_id)
    known, chain = client.attempt, client.connection.peer_chain_der
    if known is not None and known.login.resource.lower() != login.resource.lower():
        raise unauthorized()
    attempt = known or Attempt(login=login, chain=chain)
    provisioning.registrations.check(attempt)
    client.attempt = attempt
    return attempt


def provisioning_condition(error: HubError) -> ErrorCondition:
    """The error for a link or a request that is refused; its description is the body that HTTPS has."""
    body = error_body(error, Envelope.PROVISIONING, time.time())
    info: dict[str, Any] = {Symbol(name): Int(RETRY_AFTER_S) for name in RETRY_AFTER} if error.status == 429 else {}
    condition = _CONDITIONS.get(error.status, errors.INTERNAL_ERROR)
    return error_condition(condition, body.decode(), info or None)


class ProvisioningAnswers(Answers):
    """The link that answers leave on."""


class ProvisioningRequests(Node):
    """The link that requests of one device come on."""

    def __init__(self, client: Client, link: Receiver, attempt: Attempt) -> None:
        self._client = client
        self._link = link
        self._attempt = attempt

    def delivered(self, delivery: Delivery) -> None:
        try:
            request = delivery.message()
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
            return
        self._client.spawn(self._answer(delivery, request))

    async def _answer(self, delivery: Delivery, request: amqp.Message) -> None:
        try:
            status, body = await self._handle(request)
        except HubError as error:
            self._link.settle(delivery, Rejected(error=provisioning_condition(error)))
        except LostError:
            _log.info("%s: a request was lost by a fault", self._attempt.login.registration_id)
        except CutError as error:
            self._client.connection.abort(str(error))
        except Exception:
            self._link.settle(delivery, Rejected(error=error_condition(errors.INTERNAL_ERROR)))
            raise
        else:
            self._link.settle(delivery, ACCEPTED)
            self._send(_message(request, status, body))

    async def _handle(self, request: amqp.Message) -> tuple[int, JsonObject]:
        """Status and body of the answer; HubError, LostError, CutError."""
        registrations, attempt = self._client.hub.provisioning.registrations, self._attempt
        properties = request.application_properties or {}
        operation = properties.get(TYPE)
        kind = Kind.REGISTRATION if operation == REGISTER else Kind.POLL
        await self._client.hub.provisioning.admission.admit(attempt.login.registration_id, kind)
        match operation:
            case "iotdps-register":
                return taken(await registrations.register(with_body(attempt, read_body(_payload(request)))))
            case "iotdps-get-operationstatus":
                return 200, operation_body(registrations.operation(attempt, str(properties.get(OPERATION_ID) or "")))
            case "iotdps-get-registration":
                return 200, operation_body(registrations.lookup(attempt))["registrationState"]
        raise bad(f"{TYPE} must be {REGISTER}, {STATUS} or {LOOK_UP}, not {str(operation)[:40]!r}.")

    def _send(self, message: amqp.Message) -> None:
        for link in self._client.senders(ProvisioningAnswers):
            node = self._client.node_of(link)
            if isinstance(node, ProvisioningAnswers):
                node.send(message)
                return
        _log.info("%s: no link for the answer", self._attempt.login.registration_id)


def _payload(request: amqp.Message) -> bytes:
    try:
        return body_bytes(request)
    except MessageError as error:
        raise bad(f"{error}.") from error


def _message(request: amqp.Message, status: int, body: JsonObject) -> amqp.Message:
    asked = request.properties or amqp.Properties()
    more: dict[str, Any] = {name: Int(RETRY_AFTER_S) for name in RETRY_AFTER} if status == 202 else {}
    operation = (request.application_properties or {}).get(TYPE)
    return amqp.Message(
        properties=amqp.Properties(
            correlation_id=asked.correlation_id if asked.correlation_id is not None else asked.message_id,
            content_type="application/json; charset=utf-8",
        ),
        application_properties={TYPE: operation, **more},
        body=amqp.Data((orjson.dumps(body),)),
    )
