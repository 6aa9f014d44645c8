"""Direct methods over AMQP: calls leave on one link of the device, answers come on the other (IoT Hub developer guide,
"Invoke direct methods"). A call and its answer have the same correlation id.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from functools import partial

from iot_core import amqp
from iot_core.amqp import ACCEPTED, AmqpViolation, Delivery, Receiver, Rejected, Sender, error_condition
from iot_core.amqp_messages import body_bytes
from iot_core.errors import MessageError
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.node import Node
from local_hub.sessions import LinkClosedError

__all__ = ["MethodAnswersLink", "MethodCallsLink"]

NAME, STATUS = "IoThub-methodname", "IoThub-status"
"""Application properties of a call and of its answer."""

_log = logging.getLogger(__name__)


class MethodCallsLink(Node):
    """Sends calls to a device; its answers are handed to ``answered``."""

    def __init__(self, client: Client, link: Sender, device: AmqpDevice) -> None:
        self._client = client
        self._link = link
        self._device = device
        self._waiting: deque[bytes] = deque()
        self._calls: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        device.callers.append(self)

    async def call(self, name: str, payload: bytes) -> tuple[int, bytes]:
        number = uuid.uuid4()
        message = amqp.Message(
            properties=amqp.Properties(correlation_id=number, content_type=""),
            application_properties={NAME: name},
            body=amqp.Data((payload,)),
        )
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._calls[str(number)] = answer
        encoded = amqp.encode_message(message)
        self._client.send(self._device.identity.device_id, partial(self._send, encoded))
        try:
            return await answer
        finally:
            del self._calls[str(number)]
            if encoded in self._waiting:
                self._waiting.remove(encoded)

    def _send(self, encoded: bytes) -> None:
        self._waiting.append(encoded)
        self.credited()

    def answered(self, correlation: str, status: int, payload: bytes) -> bool:
        """Whether a call waited for this answer; late ones are dropped."""
        call = self._calls.get(correlation)
        if call is None or call.done():
            return False
        call.set_result((status, payload))
        return True

    def credited(self) -> None:
        while self._waiting and self._link.can_send:
            self._link.send(self._waiting.popleft())
        self._link.send_drained()

    def updated(self, delivery: Delivery) -> None:
        self._link.settle(delivery)

    def ended(self) -> None:
        self._device.callers.remove(self)
        for call in self._calls.values():
            if not call.done():
                call.set_exception(LinkClosedError(f"{self._device.identity} disconnected before it answered"))


class MethodAnswersLink(Node):
    """Takes the device's answers."""

    def __init__(self, client: Client, link: Receiver, device: AmqpDevice) -> None:
        self._link = link
        self._device = device

    def delivered(self, delivery: Delivery) -> None:
        try:
            correlation, status, payload = _answer(delivery.message())
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
        except MessageError as error:
            self._link.settle(delivery, Rejected(error=condition_of(error)))
        else:
            self._link.settle(delivery, ACCEPTED)
            if not any(_answered(caller, correlation, status, payload) for caller in self._device.callers):
                _log.info("%s: an answer to a method came too late", self._device.identity)


def _answered(caller: object, correlation: str, status: int, payload: bytes) -> bool:
    return isinstance(caller, MethodCallsLink) and caller.answered(correlation, status, payload)


def _answer(message: amqp.Message) -> tuple[str, int, bytes]:
    correlation = message.properties.correlation_id if message.properties else None
    status = (message.application_properties or {}).get(STATUS)
    if correlation is None or not isinstance(status, int) or isinstance(status, bool):
        raise MessageError(f"an answer to a method has a correlation id, and a whole number in {STATUS}")
    return str(correlation), int(status), body_bytes(message)
