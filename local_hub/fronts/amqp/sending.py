"""Links that clients send messages on: each is settled when its effect is on disk, or rejected with the reason."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Coroutine, Iterable
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
from iot_core.errors import EdgeyardError
from iot_core.message import Message
from local_hub.controls.faults import LostError
from local_hub.controls.throttles import Operation
from local_hub.fronts.amqp.clients import Client
from local_hub.fronts.amqp.conditions import condition_of
from local_hub.fronts.amqp.device import AmqpDevice
from local_hub.fronts.amqp.node import Node

__all__ = ["ServiceDeviceboundLink", "TelemetryLink"]

_log = logging.getLogger(__name__)


class SendingLink(Node):
    """Takes messages in the order in which they come."""

    def __init__(self, client: Client, link: Receiver) -> None:
        self._client = client
        self._link = link

    @abstractmethod
    async def take(self, message: amqp.Message) -> None:
        """Return once the message is on disk; HubError or InputError when it is not taken."""

    def delivered(self, delivery: Delivery) -> None:
        try:
            is_batch = delivery.message_format == BATCH_FORMAT
            messages = decode_batch(delivery.payload) if is_batch else (delivery.message(),)
        except AmqpViolation as violation:
            self._link.settle(delivery, Rejected(error=error_condition(violation.condition, str(violation))))
            return
        self._client.spawn(self._finish(delivery, messages))

    async def _finish(self, delivery: Delivery, messages: tuple[amqp.Message, ...]) -> None:
        try:
            await _all(self.take(message) for message in messages)
        except LostError:
            _log.info("a message over AMQP was lost by a fault")
        except EdgeyardError as error:
            _log.info("a message over AMQP was not taken: %s", error)
            self._link.settle(delivery, Rejected(error=condition_of(error)))
        except Exception:
            self._link.settle(delivery, Rejected(error=error_condition(amqp.errors.INTERNAL_ERROR)))
            raise
        else:
            self._link.settle(delivery, ACCEPTED)


class ServiceDeviceboundLink(SendingLink):
    """A service sends messages to devices; the properties say to which."""

    async def take(self, message: amqp.Message) -> None:
        device_id = device_of(message.properties.to if message.properties else None)
        sent, hub = from_amqp(message), self._client.hub
        await self._client.admit(device_id, Operation.CLOUD_TO_DEVICE, len(sent.body))
        await hub.c2d.send(device_id, sent)
        hub.traffic_log.note("AMQP", device_id, "in", "cloud-to-device message sent", len(sent.body), "taken")


class TelemetryLink(SendingLink):
    """A device or module sends telemetry."""

    def __init__(self, client: Client, link: Receiver, device: AmqpDevice) -> None:
        super().__init__(client, link)
        self._device = device
        self._log = client.hub.traffic_log.recorder("AMQP", device.identity)

    async def take(self, message: amqp.Message) -> None:
        taken = from_amqp(message)
        system = {name: value for name, value in taken.system.items() if name != "to"}
        device = self._device
        telemetry = Message(taken.body, taken.properties, system)
        await self._client.admit(device.identity.device_id, Operation.DEVICE_TO_CLOUD, len(taken.body))
        await self._client.hub.messaging.telemetry(device.identity, telemetry, device.principal)
        self._log.note("in", "telemetry", len(taken.body), "taken")


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Start all in order and wait for all; raises what the first of them raised."""
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
