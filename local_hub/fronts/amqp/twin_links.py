"""Twins over AMQP: requests come on one link of the device, answers and desired patches leave on the other.

A request names its operation and resource in message annotations; its answer has the same correlation id and a status.
What comes without a correlation id is a desired patch (as the device SDKs for Node.js and .NET speak it).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import orjson

from iot_core import amqp
from iot_core.amqp import ACCEPTED, AmqpViolation, Delivery, Receiver, Rejected, Sender, error_condition
from iot_core.amqp.types import Int
from iot_core.amqp_messages import body_bytes
from iot_core.errors import EdgeyardError, HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from local_hub.controls.faults import LostError
from local_hub.controls.throttles import Operation
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import as_hub_error
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.node import Node
from local_hub.fronts.envelopes import Envelope, error_body

__all__ = ["CHANNEL", "TwinAnswersLink", "TwinRequestsLink"]

CHANNEL = "com.microsoft:channel-correlation-id"
"""Property of attach that is the same on both links of a pair."""
REPORTED, DESIRED = "/properties/reported", "/notifications/twin/properties/desired"
MOST_WAITING = 1000
"""Messages that wait for credit; of a device that gives none, the oldest are dropped."""


class TwinAnswersLink(Node):
    """What leaves: answers, and desired patches while ``wants_desired``."""

    def __init__(self, client: Client, link: Sender, device: AmqpDevice) -> None:
        self._client = client
        self._link = link
        self._device = device
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self.wants_desired = False
        self.channel = _channel(link)
        device.takers.append(self)

    def push(self, patch: JsonObject) -> None:
        if self.wants_desired:
            message = amqp.Message(body=amqp.Data((orjson.dumps(patch),)))
            self._client.send(self._device.identity.device_id, partial(self.send, message))

    def send(self, message: amqp.Message) -> None:
        """Send a message, now or when there is credit."""
        self._waiting.append(amqp.encode_message(message))
        self.credited()

    def credited(self) -> None:
        while self._waiting and self._link.can_send:
            self._link.send(self._waiting.popleft())
        self._link.send_drained()

    def updated(self, delivery: Delivery) -> None:
        self._link.settle(delivery)

    def ended(self) -> None:
        self._device.takers.remove(self)


class TwinRequestsLink(Node):
    """What comes: requests."""

    def __init__(self, client: Client, link: Receiver, device: AmqpDevice) -> None:
        self._client = client
        self._link = link
        self._device = device
        self._channel = _channel(link)

    def delivered(self, delivery: Delivery) -> None:
        try:
            request = delivery.message()
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
            return
        self._link.settle(delivery, ACCEPTED)
        self._client.spawn(self._answer(request))

    async def _answer(self, request: amqp.Message) -> None:
        answers = self._answers()
        if answers is None:
            raise hub_error("InvalidOperation", f"{self._device.identity}: a twin request needs a link for its answer")
        try:
            status, version, body = await self._perform(request, answers)
        except LostError:
            return
        except EdgeyardError as error:
            refusal = as_hub_error(error)
            body = error_body(refusal, Envelope.PLAIN, self._client.hub.clock.now())
            status, version = refusal.status, None
        annotations: dict[str, Any] = {"status": Int(status)}
        if version is not None:
            annotations["version"] = version
        properties = amqp.Properties(
            correlation_id=request.properties.correlation_id if request.properties else None, content_type=""
        )
        answers.send(amqp.Message(message_annotations=annotations, properties=properties, body=amqp.Data((body,))))

    async def _perform(self, request: amqp.Message, answers: TwinAnswersLink) -> tuple[int, int | None, bytes]:
        """Status, version and body of the answer; HubError or InputError."""
        hub, identity = self._client.hub, self._device.identity
        annotations = request.message_annotations or {}
        kind = Operation.TWIN_UPDATE if annotations.get("operation") == "PATCH" else Operation.TWIN_READ
        await self._client.admit(identity.device_id, kind, len(body_bytes(request)))
        hub.sessions.touch(identity)
        match annotations.get("operation"), annotations.get("resource"):
            case "GET", _:
                return 200, None, orjson.dumps(hub.twins.device_view(identity))
            case "PATCH", "/properties/reported":
                patch = _json_object(body_bytes(request))
                return 204, await hub.twins.patch_reported(identity, patch, None), b""
            case ("PUT" | "DELETE") as operation, "/notifications/twin/properties/desired":
                answers.wants_desired = operation == "PUT"
                return 200, None, b""
            case operation, resource:
                raise _unknown(operation, resource)

    def _answers(self) -> TwinAnswersLink | None:
        """The other link of the pair, else the device's newest one."""
        links = [taker for taker in self._device.takers if isinstance(taker, TwinAnswersLink)]
        paired = [link for link in links if link.channel == self._channel]
        found = paired or links
        return found[-1] if found else None


def _channel(link: Sender | Receiver) -> object:
    return ((link.attach.properties if link.attach else None) or {}).get(CHANNEL)


def _json_object(payload: bytes) -> JsonObject:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise hub_error("IotHubFormatError", f"The patch is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise hub_error("ArgumentInvalid", "The patch must be a JSON object.")
    return value


def _unknown(operation: object, resource: object) -> HubError:
    return hub_error("ArgumentInvalid", f"A twin has no {str(operation)[:40]!r} of {str(resource)[:80]!r}.")
