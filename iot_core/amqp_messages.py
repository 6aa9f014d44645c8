"""IoT Hub's messages as AMQP messages and back (IoT Hub developer guide, "Create and read IoT Hub messages").

messageId, correlationId, userId, to, expiry, contentType and contentEncoding are AMQP properties, the sender's own
properties are application properties; some system properties of telemetry are annotations or reserved application
properties, see ``_ANNOTATIONS`` and ``_RESERVED``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from iot_core import amqp
from iot_core.amqp.types import Symbol, Timestamp
from iot_core.clock import from_iso, iso
from iot_core.errors import InputError, MessageError
from iot_core.message import Message, Properties, SystemProperties

__all__ = ["body_bytes", "device_of", "from_amqp", "properties_of", "text_of"]

_ANNOTATIONS: Mapping[str, str] = MappingProxyType({"iothub-interface-id": "interfaceId", "dt-subject": "subject"})
"""Annotation of telemetry → system property."""
_RESERVED: Mapping[str, str] = MappingProxyType(
    {
        "iothub-creation-time-utc": "creationTimeUtc",
        "iothub-message-schema": "messageSchema",
        "iothub-outputname": "outputName",
    }
)
"""Application property of telemetry → system property."""
_LATEST_MS = 253_402_300_799_000
"""The last millisecond that ISO 8601 has four digits of a year for: 9999-12-31."""


def from_amqp(message: amqp.Message) -> Message:
    """The message that a device or a service sent. MessageError for a body or an expiry that IoT Hub does not take."""
    properties: Properties = {}
    system = _system(message.properties)
    for name, value in (message.application_properties or {}).items():
        if name in _RESERVED:
            system[_RESERVED[name]] = text_of(value)
        else:
            properties[name] = text_of(value)
    for annotation, value in (message.message_annotations or {}).items():
        if annotation in _ANNOTATIONS:
            system[_ANNOTATIONS[annotation]] = text_of(value)
    return Message(body_bytes(message), properties, system)


def body_bytes(message: amqp.Message) -> bytes:
    """The bytes of a body of data, or of one value that is text or bytes; MessageError for another."""
    body = message.body
    if isinstance(body, amqp.Data):
        return message.data
    value = body.value if isinstance(body, amqp.AmqpValue) else body
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise MessageError(f"the body must be data, text or bytes, not {type(value).__name__}")


def properties_of(system: Mapping[str, str]) -> amqp.Properties | None:
    """The AMQP properties that stand for a message's system properties; None when it has none."""
    properties = amqp.Properties(
        message_id=system.get("messageId"),
        user_id=system["userId"].encode() if "userId" in system else None,
        to=system.get("to"),
        correlation_id=system.get("correlationId"),
        content_type=_symbol(system.get("contentType")),
        content_encoding=_symbol(system.get("contentEncoding")),
        absolute_expiry_time=_milliseconds(system.get("expiry")),
    )
    if properties == amqp.Properties():
        return None
    # One client cannot read a properties section that has no content type.
    return properties if properties.content_type else replace(properties, content_type=Symbol(""))


def device_of(to: str | None) -> str:
    """The device that a service's message is ``to`` ("/devices/d/messages/devicebound"); MessageError for another."""
    match [unquote(part) for part in (to or "").strip("/").split("/")]:
        case [first, device_id, second, third] if (first, second, third.lower()) == _DEVICEBOUND:
            return device_id
        case [_, _, "modules", _, *_]:
            raise MessageError("modules have no cloud-to-device messages: send to their device")
    raise MessageError(f"'to' must be /devices/ID/messages/devicebound, not {(to or '')[:80]!r}")


def text_of(value: Any) -> str:
    """A value of a property as IoT Hub keeps it, which is text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Timestamp):
        return iso(value / 1000)
    return "" if value is None else str(value)


def _system(properties: amqp.Properties | None) -> SystemProperties:
    if properties is None:
        return {}
    values = {
        "messageId": _id(properties.message_id),
        "correlationId": _id(properties.correlation_id),
        "userId": text_of(properties.user_id),
        "to": text_of(properties.to),
        "expiry": _expiry(properties.absolute_expiry_time),
        "contentType": text_of(properties.content_type),
        "contentEncoding": text_of(properties.content_encoding),
    }
    return {name: value for name, value in values.items() if value}


def _id(value: Any) -> str:
    return str(value) if isinstance(value, uuid.UUID) else text_of(value)


def _expiry(milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    if not 0 < milliseconds <= _LATEST_MS:
        raise MessageError(f"an expiry of {milliseconds} ms since 1970 is out of range")
    return iso(milliseconds / 1000)


def _symbol(text: str | None) -> Symbol | None:
    """AMQP has no symbol for text beyond ASCII; such a content type is not passed on."""
    return Symbol(text) if text is not None and text.isascii() else None


def _milliseconds(text: str | None) -> Timestamp | None:
    try:
        return None if text is None else Timestamp(round(from_iso(text) * 1000))
    except InputError:
        return None


_DEVICEBOUND = ("devices", "messages", "devicebound")
