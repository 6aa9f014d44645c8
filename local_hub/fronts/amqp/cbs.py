"""Claims-based security: clients put tokens on their connection (AMQP claims-based security 1.0; IoT Hub documentation,
"Communicate with your IoT hub by using the AMQP protocol").
"""

from __future__ import annotations

from iot_core.amqp import AmqpValue, Message
from iot_core.hub_errors import hub_error
from local_hub.fronts.amqp.requests import Answers, Requests, reply

__all__ = ["CbsAnswers", "CbsRequests"]

SAS = "servicebus.windows.net:sastoken"
_UNSUPPORTED = ("jwt", "bearer")


class CbsAnswers(Answers):
    """The answers to put-token."""


class CbsRequests(Requests):
    """``put-token`` and ``delete-token``."""

    answers = CbsAnswers

    def answer(self, request: Message) -> Message:
        properties = request.application_properties or {}
        operation, audience = properties.get("operation"), str(properties.get("name") or "")
        if operation == "put-token":
            self._client.grants.put(audience, _token(request, str(properties.get("type") or SAS)))
            return reply(200, "OK")
        if operation == "delete-token":
            self._client.grants.remove(audience)
            return reply(200, "OK")
        raise hub_error("ArgumentInvalid", f"$cbs has no operation {str(operation)[:40]!r}.")


def _token(request: Message, kind: str) -> str:
    if kind.lower() in _UNSUPPORTED:
        raise hub_error("IotHubUnauthorizedAccess", "Microsoft Entra tokens are not taken: use a shared access policy.")
    token = request.body.value if isinstance(request.body, AmqpValue) else None
    if kind != SAS or not isinstance(token, str):
        raise hub_error("ArgumentInvalid", f"put-token takes the text of a token of type {SAS}.")
    return token
