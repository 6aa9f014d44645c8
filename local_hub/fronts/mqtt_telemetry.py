"""Telemetry out of publishes. Devices publish to one topic over and over, so what the last one meant is remembered."""

from __future__ import annotations

from collections.abc import Sequence

from iot_core.errors import MessageError
from iot_core.identity import Identity
from iot_core.limits import DEVICE_TO_CLOUD_BYTES
from iot_core.message import Message
from iot_core.mqtt import Publish
from iot_core.topics import Telemetry
from local_hub.auth.authenticator import Principal
from local_hub.intake import Sender
from local_hub.messaging import Messaging

__all__ = ["TelemetrySenders", "checked_message", "with_property"]

REMEMBERED_CHARACTERS = 1024
"""Of a topic; a longer one is read anew each time, so that an idle connection holds little."""


class TelemetrySenders:
    """What the topics of one identity's telemetry mean."""

    __slots__ = ("_identity", "_last", "_messaging", "_principal", "_topic")

    def __init__(self, messaging: Messaging, identity: Identity, principal: Principal) -> None:
        self._messaging = messaging
        self._identity = identity
        self._principal = principal
        self._topic = ""
        self._last: Sender | None = None

    def known(self, publishes: Sequence[Publish]) -> Sender | None:
        """The sender of publishes with QoS 1 to the topic of the one before, none of them too large; else None."""
        sender, topic = self._last, self._topic
        if sender is None:
            return None
        longest = DEVICE_TO_CLOUD_BYTES - sender.size
        for publish in publishes:
            if publish.topic != topic or publish.qos != 1 or publish.retain or len(publish.payload) > longest:
                return None
        return sender

    def read(self, topic: Telemetry, publish: Publish) -> Sender:
        """The sender of a publish; MessageError when it is another identity's or its properties do not decode."""
        if topic.identity != self._identity:
            raise MessageError(f"{self._identity} published as {topic.identity}: a connection speaks for one identity")
        like = topic.message(b"")
        if publish.retain:
            like = with_property(like, "mqtt-retain", "true")
        sender = self._messaging.sender(self._identity, like, self._principal)
        if len(publish.topic) <= REMEMBERED_CHARACTERS and not publish.retain:
            self._topic, self._last = publish.topic, sender
        return sender


def checked_message(topic: Telemetry, payload: bytes, *, retain: bool) -> Message:
    """The message in a telemetry publish; MessageError when its properties do not decode or it is over 256 KB."""
    message = topic.message(payload)
    if message.size > DEVICE_TO_CLOUD_BYTES:
        raise MessageError(f"a message of {message.size} bytes is too large: {DEVICE_TO_CLOUD_BYTES} are allowed")
    return with_property(message, "mqtt-retain", "true") if retain else message


def with_property(message: Message, name: str, value: str) -> Message:
    """The message with one more property."""
    return Message(message.body, {**message.properties, name: value}, message.system)
