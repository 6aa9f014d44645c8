"""Device-to-cloud messages: stamped, stored, then told to who listens (IoT Hub developer guide, "Send device-to-cloud
messages", "Create and read IoT Hub messages")."""

from __future__ import annotations

import asyncio
from functools import partial

from iot_core import limits
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth import Principal
from local_hub.changes import Core
from local_hub.event_shapes import EventShapes
from local_hub.eventhub import HubMessage
from local_hub.intake import Done, Intake

__all__ = ["Messaging"]


class Messaging:
    """Takes telemetry in."""

    def __init__(self, core: Core, shapes: EventShapes) -> None:
        self._core = core
        self._shapes = shapes
        self._intake = Intake(core, self._publish)

    async def telemetry(self, identity: Identity, message: Message, principal: Principal) -> None:
        """``take``, and return once the message is on disk for every endpoint; raises StoreError too."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.take(identity, message, principal, partial(_tell, stored))
        await stored

    def take(self, identity: Identity, message: Message, principal: Principal, done: Done) -> None:
        """Send a message where the routes say; ``done`` is called on the event loop once it is on disk for every
        endpoint, or with the StoreError for which it was not taken. Listeners hear of it in the order of the calls.

        The hub stamps who sent it and when (``HubMessage.message``). HubError MessageTooLarge at once.
        """
        if message.size > limits.DEVICE_TO_CLOUD_BYTES:
            text = f"The message has {message.size} bytes; {limits.DEVICE_TO_CLOUD_BYTES} are allowed."
            raise hub_error("MessageTooLarge", text)
        taken = HubMessage(
            identity=identity,
            enqueued=self._core.event_hub.time(),
            body=message.body,
            properties=message.properties,
            system=message.system,
            generation_id=principal.generation_id,
            auth_method=principal.auth_method,
            model_id=principal.model_id,
        )
        self._core.sessions.touch(identity)
        self._intake.take(taken, done)

    async def drained(self) -> None:
        """Return once every message taken so far is on disk and its sender knows."""
        await self._intake.drained()

    def _publish(self, message: HubMessage) -> None:
        if self._core.events.wanted:
            self._core.events.publish(self._shapes.telemetry(message.identity, message.message, message.enqueued))


def _tell(stored: asyncio.Future[None], error: BaseException | None) -> None:
    if stored.done():  # its caller was cancelled; the message stands
        return
    if error is None:
        stored.set_result(None)
    else:
        stored.set_exception(error)
