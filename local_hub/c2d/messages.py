"""Cloud-to-device messages as values: what a service may send and what a receiver gets (IoT Hub developer guide,
"Send cloud-to-device messages", "Create and read IoT Hub messages").
"""

from __future__ import annotations

from dataclasses import dataclass

from iot_core import limits
from iot_core.c2d import Ack, parse_ack
from iot_core.clock import from_iso
from iot_core.errors import InputError, MessageError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.message import Message
from iot_core.topics import MAX_TOPIC_LENGTH, devicebound

__all__ = ["ACK_PROPERTY", "Delivery", "FeedbackBatch", "Outgoing", "Sent", "checked"]

ACK_PROPERTY = "iothub-ack"
_SENDABLE = ("messageId", "to", "correlationId", "userId", "expiry", "contentType", "contentEncoding")
"""System properties of a cloud-to-device message, in the order in which devices get them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message that was checked: ``expires`` is in unix seconds, ``message`` what the device will get."""

    message: Message
    ack: Ack
    expires: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What became of a message that was taken; ``enqueued`` is in unix seconds."""

    sequence: int
    enqueued: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A message that its receiver holds the lock of; times are unix seconds.

    ``lock_token`` is a UUID. ``delivery_count`` is how often it was abandoned before. ``message.properties`` still has
    ``iothub-ack`` as the sender wrote it.
    """

    device_id: str
    lock_token: str
    sequence: int
    enqueued: float
    delivery_count: int
    message: Message


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackBatch:
    """A batch of feedback that its receiver holds the lock of; ``body`` is the JSON array of its records."""

    lock_token: str
    sequence: int
    enqueued: float
    delivery_count: int
    body: bytes


def checked(device_id: str, message: Message, *, now: float, default_ttl_s: float) -> Outgoing:
    """A message as the queue takes it, with ``to`` set by the hub.

    HubError MessageTooLarge (over 64 KB), InvalidMessageExpiryTime (past, or more than two days ahead),
    ArgumentInvalid (a property that a cloud-to-device message cannot have).
    """
    if message.size > limits.CLOUD_TO_DEVICE_BYTES:
        text = f"The message has {message.size} bytes; {limits.CLOUD_TO_DEVICE_BYTES} are allowed."
        raise hub_error("MessageTooLarge", text)
    try:
        ack = parse_ack(message.properties.get(ACK_PROPERTY))
        expires = _expires(message.system.get("expiry"), now, default_ttl_s)
        return Outgoing(message=_addressed(device_id, message), ack=ack, expires=expires)
    except InputError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error


def _expires(text: str | None, now: float, default_ttl_s: float) -> float:
    if not text:
        return now + default_ttl_s
    expires = from_iso(text)
    latest = now + limits.CLOUD_TO_DEVICE_TTL_S.stop - 1
    if not now < expires <= latest:
        raise hub_error("InvalidMessageExpiryTime", f"The expiry {text[:40]} is over or more than two days ahead.")
    return expires


def _addressed(device_id: str, message: Message) -> Message:
    """The message to the device, its properties in order; MessageError when it has one that no topic can carry."""
    if unknown := message.system.keys() - set(_SENDABLE):
        raise MessageError(f"cloud-to-device messages have no system property {min(unknown)[:80]!r}")
    given = {name: value for name, value in message.system.items() if value}
    given["to"] = f"/devices/{device_id}/messages/deviceBound"
    system = {name: given[name] for name in _SENDABLE if name in given}
    addressed = Message(message.body, _ack_first(message.properties), system)
    if len(devicebound(Identity(device_id), addressed)) > MAX_TOPIC_LENGTH:
        raise hub_error("MessageTooLarge", "The properties are too long for the topic that brings them to a device.")
    return addressed


def _ack_first(properties: dict[str, str | None]) -> dict[str, str | None]:
    ack = {ACK_PROPERTY: properties[ACK_PROPERTY]} if properties.get(ACK_PROPERTY) else {}
    return ack | {name: value for name, value in properties.items() if name != ACK_PROPERTY}
