"""Device-to-cloud messages: stamped, stored, then told to who listens (IoT Hub developer guide, "Send device-to-cloud
messages", "Create and read IoT Hub messages")."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from iot_core import limits
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Principal
from local_hub.changes import Core
from local_hub.event_shapes import EventShapes
from local_hub.eventhub import Envelope, HubMessage
from local_hub.intake import Done, Intake, Run, Sender

__all__ = ["Messaging"]


class Messaging:
    """Takes telemetry in."""

    def __init__(self, core: Core, shapes: EventShapes) -> None:
        self._core = core
        self._shapes = shapes
        self._intake = Intake(core, self._publish)

    async def telemetry(self, identity: Identity, message: Message, principal: Principal) -> None:
        """Send a message where the routes say; returns once it is on disk for every endpoint. Listeners hear of it in
        the order of the calls.

        The hub stamps who sent it and when (``HubMessage.message``). HubError MessageTooLarge; StoreError, and then the
        message was not taken.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sender = self.sender(identity, message, principal)
        self.take([(sender, (message.body,))], partial(_tell, stored))
        await stored

    def sender(self, identity: Identity, like: Message, principal: Principal) -> Sender:
        """What ``take`` needs for a client's messages with the properties of ``like``, any number of them."""
        common = HubMessage(
            identity=identity,
            enqueued=0.0,
            properties=like.properties,
            system=like.system,
            generation_id=principal.generation_id,
            auth_method=principal.auth_method,
            model_id=principal.model_id,
        )
        stream = self._core.event_hub.stream_of(identity.device_id)
        return Sender(envelope=Envelope(common), stream=stream, size=like.size - len(like.body))

    def take(self, runs: Sequence[Run], done: Done) -> None:
        """``telemetry`` without a coroutine, for any number of messages: all are stored in one transaction or none.

        ``done`` is called once, when they are on disk, or with the StoreError. HubError MessageTooLarge at once.
        """
        for sender, bodies in runs:
            _check_size(sender.size + max(map(len, bodies)))
        self._intake.take(runs, done)

    async def drained(self) -> None:
        """Return once every message taken so far is on disk and its sender knows."""
        await self._intake.drained()

    def _publish(self, message: HubMessage) -> None:
        self._core.events.publish(self._shapes.telemetry(message.identity, message.message, message.enqueued))


def _check_size(size: int) -> None:
    if size > limits.DEVICE_TO_CLOUD_BYTES:
        text = f"The message has {size} bytes; {limits.DEVICE_TO_CLOUD_BYTES} are allowed."
        raise hub_error("MessageTooLarge", text)


def _tell(stored: asyncio.Future[None], error: BaseException | None) -> None:
    if stored.done():  # its caller was cancelled; the message stands
        return
    if error is None:
        stored.set_result(None)
    else:
        stored.set_exception(error)
