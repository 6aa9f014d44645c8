"""Device-to-cloud messages: stamped, stored, then told to who listens (IoT Hub developer guide, "Send device-to-cloud
messages", "Create and read IoT Hub messages")."""

from __future__ import annotations

from functools import partial

from iot_core import limits
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth import Principal
from local_hub.changes import Core
from local_hub.event_shapes import EventShapes
from local_hub.eventhub import HubMessage

__all__ = ["Messaging"]


class Messaging:
    """Takes telemetry in."""

    def __init__(self, core: Core, shapes: EventShapes) -> None:
        self._core = core
        self._shapes = shapes

    async def telemetry(self, identity: Identity, message: Message, principal: Principal) -> None:
        """Send a message where the routes say; returns once it is on disk for every endpoint. Listeners hear of it in
        the order of the calls.

        The hub stamps who sent it and when (``HubMessage.message``). HubError MessageTooLarge; StoreError, and then the
        message was not taken.
        """
        if message.size > limits.DEVICE_TO_CLOUD_BYTES:
            text = f"The message has {message.size} bytes; {limits.DEVICE_TO_CLOUD_BYTES} are allowed."
            raise hub_error("MessageTooLarge", text)
        core = self._core
        taken = HubMessage(
            identity=identity,
            enqueued=core.event_hub.time(),
            body=message.body,
            properties=message.properties,
            system=message.system,
            generation_id=principal.generation_id,
            auth_method=principal.auth_method,
            model_id=principal.model_id,
        )
        core.sessions.touch(identity)
        stored = partial(self._stored, taken)
        match core.routing.appended(taken):
            case [one]:
                await core.store.append(one.stream, one.records, after=stored, stamp=one.stamp)
            case []:
                stored(None)
            case several:
                await core.store.write(lambda _connection: None, appends=lambda _c, _r: several, after=stored)

    def _stored(self, message: HubMessage, _result: object) -> None:
        self._core.routing.announce(message.identity.device_id)
        if self._core.events.wanted:
            self._core.events.publish(self._shapes.telemetry(message.identity, message.message, message.enqueued))
