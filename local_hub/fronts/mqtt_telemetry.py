"""Telemetry out of publishes. Devices publish to one topic over and over, so what the last one meant is remembered."""

from __future__ import annotations

from iot_core.errors import MessageError
from iot_core.identity import Identity
from iot_core.limits import DEVICE_TO_CLOUD_BYTES
from iot_core.message import Message
from iot_core.mqtt import Publish
from iot_core.topics import Telemetry

__all__ = ["TelemetryReader", "checked_message", "with_property"]

REMEMBERED_CHARACTERS = 1024
"""Of a topic; a longer one is read anew each time, so that an idle connection holds little."""


class TelemetryReader:
    """The messages of one identity."""

    __slots__ = ("_identity", "_last", "_topic")

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._topic = ""
        self._last: Message | None = None

    def known(self, publish: Publish) -> Message | None:
        """The message in a publish to the topic of the one before, None for any other; MessageError."""
        if self._last is None or publish.topic != self._topic:
            return None
        return _checked(Message(publish.payload, self._last.properties, self._last.system), publish)

    def read(self, topic: Telemetry, publish: Publish) -> Message:
        """The message in a publish; MessageError when it is another identity's, does not decode or is too large."""
        if topic.identity != self._identity:
            raise MessageError(f"{self._identity} published as {topic.identity}: a connection speaks for one identity")
        message = topic.message(publish.payload)
        if len(publish.topic) <= REMEMBERED_CHARACTERS:
            self._topic, self._last = publish.topic, Message(b"", message.properties, message.system)
        return _checked(message, publish)


def checked_message(topic: Telemetry, payload: bytes, *, retain: bool) -> Message:
    """The message in a telemetry publish; MessageError when its properties do not decode or it is over 256 KB."""
    message = _of_allowed_size(topic.message(payload))
    return with_property(message, "mqtt-retain", "true") if retain else message


def with_property(message: Message, name: str, value: str) -> Message:
    """The message with one more property."""
    return Message(message.body, {**message.properties, name: value}, message.system)


def _checked(message: Message, publish: Publish) -> Message:
    # Percent-decoding only shortens, so what is small as it came is small.
    if len(publish.payload) + 4 * len(publish.topic) > DEVICE_TO_CLOUD_BYTES:
        _of_allowed_size(message)
    return with_property(message, "mqtt-retain", "true") if publish.retain else message


def _of_allowed_size(message: Message) -> Message:
    if message.size > DEVICE_TO_CLOUD_BYTES:
        raise MessageError(f"a message of {message.size} bytes is too large: {DEVICE_TO_CLOUD_BYTES} are allowed")
    return message
