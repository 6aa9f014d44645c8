"""Device-to-cloud messages: stamped, stored, then told to who listens (IoT Hub developer guide, "Send device-to-cloud
messages", "Create and read IoT Hub messages")."""

from __future__ import annotations

from dataclasses import dataclass

from iot_core import limits
from iot_core.clock import iso
from iot_core.errors import MessageError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth import Principal
from local_hub.changes import Core
from local_hub.event_shapes import EventShapes
from local_hub.json_text import dump, load

__all__ = ["TELEMETRY_STREAM", "Messaging", "StoredMessage", "decode_message", "encode_message"]

TELEMETRY_STREAM = "telemetry"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """A message as read back; ``message.system`` holds what the hub stamped."""

    identity: Identity
    enqueued: float
    message: Message


class Messaging:
    """Takes telemetry in."""

    def __init__(self, core: Core, shapes: EventShapes) -> None:
        self._core = core
        self._shapes = shapes

    async def telemetry(self, identity: Identity, message: Message, principal: Principal) -> None:
        """Store a message; returns once it is on disk. Listeners hear of it in the order of the calls.

        The hub stamps connectionDeviceId, connectionModuleId, authGenerationId, connectionAuthMethod and enqueuedTime.
        HubError MessageTooLarge; StoreError, and then the message was not taken.
        """
        if message.size > limits.DEVICE_TO_CLOUD_BYTES:
            text = f"The message has {message.size} bytes; {limits.DEVICE_TO_CLOUD_BYTES} are allowed."
            raise hub_error("MessageTooLarge", text)
        now = self._core.clock.now()
        stamped = Message(message.body, message.properties, message.system | _stamps(identity, principal, now))
        self._core.sessions.touch(identity)

        def published(_number: int) -> None:
            if self._core.events.wanted:
                self._core.events.publish(self._shapes.telemetry(identity, stamped, now))

        record = encode_message(identity, stamped, now)
        await self._core.store.append(TELEMETRY_STREAM, [record], after=published)


def encode_message(identity: Identity, message: Message, enqueued: float) -> bytes:
    """A record: one line of JSON, then the body's bytes as they came."""
    head = [enqueued, identity.device_id, identity.module_id, message.properties, message.system]
    return dump(head).encode() + b"\n" + message.body


def decode_message(record: bytes) -> StoredMessage:
    """The message of a record; MessageError when it is none."""
    head, line_feed, body = record.partition(b"\n")
    if not line_feed:
        raise MessageError("a stored message has no head")
    enqueued, device_id, module_id, properties, system = load(head)
    return StoredMessage(
        identity=Identity(device_id, module_id), enqueued=enqueued, message=Message(body, properties, system)
    )


def _stamps(identity: Identity, principal: Principal, now: float) -> dict[str, str]:
    stamps = {
        "connectionDeviceId": identity.device_id,
        "authGenerationId": principal.generation_id,
        "connectionAuthMethod": principal.auth_method,
        "enqueuedTime": iso(now),
    }
    return stamps if identity.module_id is None else {**stamps, "connectionModuleId": identity.module_id}
