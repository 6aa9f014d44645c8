"""Links that clients send messages on: each is settled when its effect is on disk, or rejected with the reason."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from iot_core import amqp
from iot_core.amqp import (
    ACCEPTED,
    BATCH_FORMAT,
    AmqpViolation,
    Delivery,
    Receiver,
    Rejected,
    decode_batch,
    error_condition,
)
from iot_core.amqp_messages import device_of, from_amqp
from iot_core.errors import EdgeyardError, StoreError
from iot_core.message import Message, Properties, SystemProperties
from local_hub.auth.authenticator import Principal
from local_hub.controls.faults import LostError
from local_hub.controls.throttles import Operation
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.node import Node
from local_hub.intake import Sender

__all__ = ["ServiceDeviceboundLink", "TelemetryLink"]

_log = logging.getLogger(__name__)


class SendingLink(Node):
    """Takes messages in the order in which they come, those of a transfer together."""

    def __init__(self, client: Client, link: Receiver) -> None:
        self._client = client
        self._link = link

    @abstractmethod
    def take(self, delivery: Delivery, messages: Sequence[amqp.Message]) -> None:
        """Settle the delivery once its messages are on disk, or when they are not taken."""

    def delivered(self, delivery: Delivery) -> None:
        try:
            is_batch = delivery.message_format == BATCH_FORMAT
            messages = decode_batch(delivery.payload) if is_batch else (delivery.message(),)
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
            return
        self.take(delivery, messages)

    def accept(self, delivery: Delivery) -> None:
        """Its effect is on disk."""
        self._link.settle(delivery, ACCEPTED)

    def reject(self, delivery: Delivery, error: EdgeyardError) -> None:
        """It was not taken."""
        _log.info("a message over AMQP was not taken: %s", error)
        self._link.settle(delivery, Rejected(error=condition_of(error)))

    async def finish(self, delivery: Delivery, work: Coroutine[Any, Any, None]) -> None:
        """Settle a delivery by what comes of the work for it; one that a fault takes away is never settled."""
        try:
            await work
        except LostError:
            _log.info("a message over AMQP was lost by a fault")
        except EdgeyardError as error:
            self.reject(delivery, error)
        except Exception:
            self._link.settle(delivery, Rejected(error=error_condition(amqp.errors.INTERNAL_ERROR)))
            raise
        else:
            self.accept(delivery)


class ServiceDeviceboundLink(SendingLink):
    """A service sends messages to devices; the properties say to which."""

    def take(self, delivery: Delivery, messages: Sequence[amqp.Message]) -> None:
        self._client.spawn(self.finish(delivery, _all(self._send(message) for message in messages)))

    async def _send(self, message: amqp.Message) -> None:
        device_id = device_of(message.properties.to if message.properties else None)
        sent, hub = from_amqp(message), self._client.hub
        await self._client.admit(device_id, Operation.CLOUD_TO_DEVICE, len(sent.body))
        await hub.c2d.send(device_id, sent)
        hub.traffic_log.note("AMQP", device_id, "in", "cloud-to-device message sent", len(sent.body), "taken")


class TelemetryLink(SendingLink):
    """A device or module sends telemetry. What it sends in one read goes to the core without a task of its own."""

    def __init__(self, client: Client, link: Receiver, device: AmqpDevice) -> None:
        super().__init__(client, link)
        self._device = device
        self._log = client.hub.traffic_log.recorder("AMQP", device.identity)
        self._last: tuple[Properties, SystemProperties, Principal, Sender] | None = None

    def take(self, delivery: Delivery, messages: Sequence[amqp.Message]) -> None:
        try:
            taken = [_without_to(from_amqp(message)) for message in messages]
        except EdgeyardError as error:
            self.reject(delivery, error)
            return
        if self._client.is_unhindered:
            self._store(delivery, taken)
        else:
            self._client.spawn(self._admit(delivery, taken))

    async def _admit(self, delivery: Delivery, messages: Sequence[Message]) -> None:
        sizes = [len(message.body) for message in messages]
        try:
            await self._client.admit(self._device.identity.device_id, Operation.DEVICE_TO_CLOUD, *sizes)
        except LostError:
            _log.info("telemetry over AMQP was lost by a fault")
        except EdgeyardError as error:
            self.reject(delivery, error)
        else:
            self._store(delivery, messages)

    def _store(self, delivery: Delivery, messages: Sequence[Message]) -> None:
        try:
            runs = [(self._sender(message), (message.body,)) for message in messages]
            self._client.hub.messaging.take(runs, partial(self._stored, delivery, messages))
        except EdgeyardError as error:
            self.reject(delivery, error)

    def _sender(self, message: Message) -> Sender:
        """Devices send messages with the same properties over and over: then that of the one before."""
        principal, last = self._device.principal, self._last
        if last is not None and (message.properties, message.system, principal) == last[:3]:
            return last[3]
        sender = self._client.hub.messaging.sender(self._device.identity, message, principal)
        self._last = (message.properties, message.system, principal, sender)
        return sender

    def _stored(self, delivery: Delivery, messages: Sequence[Message], error: BaseException | None) -> None:
        if error is not None:
            self.reject(delivery, error if isinstance(error, EdgeyardError) else StoreError(str(error)))
            return
        self.accept(delivery)
        for message in messages:
            self._log.note("in", "telemetry", len(message.body), "taken")


def _without_to(message: Message) -> Message:
    """Telemetry is for the hub, whatever the sender wrote."""
    if "to" not in message.system:
        return message
    system = {name: value for name, value in message.system.items() if name != "to"}
    return Message(message.body, message.properties, system)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Start all in order and wait for all; raises what the first of them raised."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
