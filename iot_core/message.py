"""Messages and the property bag that carries their properties in an MQTT topic.

Source: IoT Hub documentation, "Communicate with IoT Hub using the MQTT protocol" (sending and receiving messages), and
developer guide, "Create and read IoT Hub messages" (system properties).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, unquote

from iot_core.errors import MessageError

__all__ = ["SYSTEM_PROPERTIES", "Message", "decode_bag", "encode_bag"]

Properties = dict[str, str | None]
SystemProperties = dict[str, str]

SYSTEM_PREFIX = "$."
MAX_BAG_LENGTH = 65_535
"""Characters; an MQTT topic, which holds the bag, cannot be longer (MQTT 3.1.1, section 1.5.3)."""

SYSTEM_PROPERTIES: Mapping[str, str] = MappingProxyType(
    {
        "$.mid": "messageId",
        "$.cid": "correlationId",
        "$.uid": "userId",
        "$.to": "to",
        "$.exp": "expiry",
        "$.ct": "contentType",
        "$.ce": "contentEncoding",
        "$.on": "outputName",
        "$.ifid": "interfaceId",
        "$.sub": "subject",
        "$.ctime": "creationTimeUtc",
        "$.schema": "messageSchema",
        "$.cdid": "connectionDeviceId",
        "$.cmid": "connectionModuleId",
        "$.diagid": "diagnosticId",
        "$.diagctx": "diagnosticContext",
    }
)
"""Name in a property bag → IoT Hub's name of the system property."""

_WIRE_NAMES = {name: wire for wire, name in SYSTEM_PROPERTIES.items()}
_NOT_IN_A_BAG = frozenset(
    {
        "inputName",
        "enqueuedTime",
        "connectionAuthMethod",
        "authGenerationId",
        "sequenceNumber",
        "deliveryCount",
        "lockToken",
        "messageSource",
    }
)
"""System properties that the topic itself or the hub's own records carry; a property bag has no name for them."""


@dataclass(frozen=True, slots=True)
class Message:
    """A body and its properties.

    `properties` are the sender's own (a value of None is a name without "="); `system` holds the system properties by
    IoT Hub's names, such as "messageId" and "contentType".
    """

    body: bytes
    properties: Properties = field(default_factory=dict)
    system: SystemProperties = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that count against the message limit: body, system values, names and values of the properties."""
        own = filter(None, self.properties.values())
        return len(self.body) + len("".join((*self.system.values(), *self.properties, *own)).encode())


def encode_bag(message: Message) -> str:
    """The properties of a message as "name=value&…", percent-encoded, without a raw "/"; system properties first.

    System properties that the topic or the hub itself carries (inputName, enqueuedTime …) are left out. Raises
    MessageError for a system property that IoT Hub does not know and for an own property whose name starts with "$.".
    """
    pairs: list[tuple[str, str | None]] = [
        (_wire_name(name), value) for name, value in message.system.items() if name not in _NOT_IN_A_BAG
    ]
    for name, own_value in message.properties.items():
        if not name or name.startswith(SYSTEM_PREFIX):
            raise MessageError(f"property name {name[:80]!r} is not allowed: it is empty or starts with '$.'")
        pairs.append((name, own_value))
    bag = "&".join(_pair(name, value) for name, value in pairs)
    if len(bag) > MAX_BAG_LENGTH:
        raise MessageError(f"the properties take {len(bag)} characters of the topic: {MAX_BAG_LENGTH} are allowed")
    return bag


def decode_bag(text: str) -> tuple[Properties, SystemProperties]:
    """The properties in a bag, and its system properties by IoT Hub's names.

    "name" alone is None, "name=" is empty text. A leading "?" and a trailing "/" are dropped; of a name given twice the
    last counts; "+" stays "+". An unknown name with "$." is kept as a system property under its own name. Raises
    MessageError for text that is too long, not UTF-8 once decoded, or has a value without a name.
    """
    if len(text) > MAX_BAG_LENGTH:
        raise MessageError(f"a property bag of {len(text)} characters is too long: {MAX_BAG_LENGTH} are allowed")
    properties: Properties = {}
    system: SystemProperties = {}
    for part in text.removeprefix("?").removesuffix("/").split("&"):
        if not part:
            continue
        raw_name, equals, raw_value = part.partition("=")
        name = _decoded(raw_name)
        if not name:
            raise MessageError(f"property bag: {part[:80]!r} has no name")
        value = _decoded(raw_value) if equals else None
        if name.startswith(SYSTEM_PREFIX):
            system[SYSTEM_PROPERTIES.get(name, name)] = value or ""
        else:
            properties[name] = value
    return properties, system


def _wire_name(name: str) -> str:
    wire = name if name.startswith(SYSTEM_PREFIX) else _WIRE_NAMES.get(name)
    if wire is None:
        known = ", ".join(sorted(_WIRE_NAMES))
        raise MessageError(f"system property {name[:80]!r} is not known: use one of {known}")
    return wire


def _pair(name: str, value: str | None) -> str:
    encoded = quote(name, safe="")
    return encoded if value is None else f"{encoded}={quote(value, safe='')}"


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise MessageError(f"property bag: {text[:80]!r} is not UTF-8 once percent-decoded") from None
