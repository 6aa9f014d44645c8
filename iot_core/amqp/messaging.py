"""Messages and their sections (OASIS AMQP 1.0 part 3, section 3.2).

A properties section without a content type makes one reader of Event Hubs raise: leave the section out, or set it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from iot_core.amqp import fields
from iot_core.amqp.composite import composite, read_composite
from iot_core.amqp.decoder import decode_descriptor, decode_value
from iot_core.amqp.encoder import encode_with, write, write_binary, write_map, write_symbol_map
from iot_core.amqp.errors import DECODE_ERROR, AmqpViolation
from iot_core.amqp.types import Symbol, ULong, Value

__all__ = [
    "BATCH_FORMAT",
    "AmqpSequence",
    "AmqpValue",
    "Data",
    "Header",
    "Message",
    "Properties",
    "decode_batch",
    "decode_message",
    "encode_message",
]

BATCH_FORMAT = 0x80013700
"""Message format of Event Hubs' batches: every data section holds one encoded message."""


@composite(0x70, "amqp:header:list", trim=True)
@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Delivery details (section 3.2.1). `ttl` in milliseconds."""

    durable: fields.Boolean | None = None
    priority: fields.Number8 | None = None
    ttl: fields.Number32 | None = None
    first_acquirer: fields.Boolean | None = None
    delivery_count: fields.Number32 | None = None


@composite(0x73, "amqp:properties:list", trim=True)
@dataclass(frozen=True, kw_only=True, slots=True)
class Properties:
    """What stays the same on the way (section 3.2.4). Ids are str, bytes, ULong or uuid.UUID."""

    message_id: fields.Anything | None = None
    user_id: fields.Binary | None = None
    to: fields.Text | None = None
    subject: fields.Text | None = None
    reply_to: fields.Text | None = None
    correlation_id: fields.Anything | None = None
    content_type: fields.Word | None = None
    content_encoding: fields.Word | None = None
    absolute_expiry_time: fields.Milliseconds | None = None
    creation_time: fields.Milliseconds | None = None
    group_id: fields.Text | None = None
    group_sequence: fields.Number32 | None = None
    reply_to_group_id: fields.Text | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A body of bytes, in one or several data sections (section 3.2.6)."""

    chunks: tuple[bytes, ...] = (b"",)


@dataclass(frozen=True, slots=True)
class AmqpSequence:
    """A body of lists (section 3.2.7)."""

    lists: tuple[list[Value], ...]


@dataclass(frozen=True, slots=True)
class AmqpValue:
    """A body of one value (section 3.2.8)."""

    value: Value


Body: TypeAlias = Data | AmqpSequence | AmqpValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message of format 0. Keys of the three annotation maps are symbols; plain strings become symbols."""

    header: Header | None = None
    delivery_annotations: dict[Any, Value] | None = None
    message_annotations: dict[Any, Value] | None = None
    properties: Properties | None = None
    application_properties: dict[str, Value] | None = None
    body: Body = Data()
    footer: dict[Any, Value] | None = None

    @property
    def data(self) -> bytes:
        """The bytes of a body of bytes, all sections joined. Raises AmqpViolation for another body."""
        if not isinstance(self.body, Data):
            raise AmqpViolation(
                f"the message has a body of {type(self.body).__name__}, not of data", condition=DECODE_ERROR
            )
        chunks = self.body.chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


_HEADER, _DELIVERY, _ANNOTATIONS, _PROPERTIES, _APPLICATION = 0x70, 0x71, 0x72, 0x73, 0x74
_DATA, _SEQUENCE, _VALUE, _FOOTER = 0x75, 0x76, 0x77, 0x78


def encode_message(message: Message) -> bytes:
    """The payload of a transfer. Raises LocalProtocolError for values that AMQP has no type for."""
    return encode_with(_write_message, message)


def decode_message(payload: bytes) -> Message:
    """The message of a transfer's payload. Raises AmqpViolation."""
    sections: dict[str, Any] = {}
    position, order = 0, 0
    body: list[Value] = []
    body_code = 0
    while position < len(payload):
        code, start = _section(payload, position)
        if code < order or (code == order and code not in (_DATA, _SEQUENCE)):
            raise _malformed(f"section 0x{code:02x} comes after 0x{order:02x}")
        order = code
        if code in _COMPOSITES:
            sections[_COMPOSITES[code]], position = read_composite(payload, position)
        elif code in _BODY_TYPES:
            if body_code not in (0, code):
                raise _malformed("the body is of several kinds")
            value, position = decode_value(payload, start)
            body.append(_of_type(value, code, _BODY_TYPES[code]))
            body_code = code
        else:
            name, check = _MAPS[code]
            value, position = decode_value(payload, start)
            sections[name] = _of_type(value, code, (dict,))
            _check_keys(sections[name], code, check)
    if body_code:
        sections["body"] = _BODIES[body_code](body)
    return Message(**sections)


def decode_batch(payload: bytes) -> tuple[Message, ...]:
    """The messages of a payload of BATCH_FORMAT. Raises AmqpViolation."""
    body = decode_message(payload).body
    if not isinstance(body, Data):
        raise _malformed("a batch has a body that is not of data")
    return tuple(decode_message(chunk) for chunk in body.chunks)


def _write_message(out: bytearray, message: Message) -> None:
    if message.header is not None:
        write(out, message.header)
    _write_map(out, _DELIVERY, message.delivery_annotations)
    _write_map(out, _ANNOTATIONS, message.message_annotations)
    if message.properties is not None:
        write(out, message.properties)
    if message.application_properties is not None:
        out += _prefix(_APPLICATION)
        write_map(out, message.application_properties)
    _write_body(out, message.body)
    _write_map(out, _FOOTER, message.footer)


def _write_map(out: bytearray, code: int, values: dict[Any, Value] | None) -> None:
    if values is not None:
        out += _prefix(code)
        write_symbol_map(out, values)


def _write_body(out: bytearray, body: Body) -> None:
    if isinstance(body, Data):
        for chunk in body.chunks:
            out += b"\x00\x53\x75"
            write_binary(out, chunk)
    elif isinstance(body, AmqpValue):
        out += _prefix(_VALUE)
        write(out, body.value)
    else:
        for items in body.lists:
            out += _prefix(_SEQUENCE)
            write(out, items)


def _prefix(code: int) -> bytes:
    return bytes((0x00, 0x53, code))


def _section(payload: bytes, position: int) -> tuple[int, int]:
    """A section's number, and where its value starts."""
    if payload[position : position + 2] == b"\x00\x53" and position + 2 < len(payload):
        code: Value = payload[position + 2]
        start = position + 3
    else:
        code, start = decode_descriptor(payload, position)
        code = _SYMBOLS.get(code) if isinstance(code, Symbol) else code
    if not isinstance(code, int) or not _HEADER <= code <= _FOOTER:
        raise _malformed("it has a section of no known kind")
    return code, start


def _of_type(value: Value, code: int, types: tuple[type, ...]) -> Value:
    if types and type(value) not in types:
        raise _malformed(f"section 0x{code:02x} holds a {type(value).__name__}")
    return value


def _check_keys(values: dict[Value, Value], code: int, allowed: tuple[type, ...]) -> None:
    for key in values:
        if not isinstance(key, allowed):
            raise _malformed(f"section 0x{code:02x} has a key of type {type(key).__name__}")


def _malformed(text: str) -> AmqpViolation:
    return AmqpViolation(f"malformed AMQP message: {text}", condition=DECODE_ERROR)


_COMPOSITES = {_HEADER: "header", _PROPERTIES: "properties"}
_MAPS: dict[int, tuple[str, tuple[type, ...]]] = {
    _DELIVERY: ("delivery_annotations", (Symbol, ULong)),
    _ANNOTATIONS: ("message_annotations", (Symbol, ULong)),
    _APPLICATION: ("application_properties", (str,)),
    _FOOTER: ("footer", (Symbol, ULong)),
}
_BODY_TYPES: dict[int, tuple[type, ...]] = {_DATA: (bytes,), _SEQUENCE: (list,), _VALUE: ()}
_BODIES: dict[int, Callable[[list[Value]], Body]] = {
    _DATA: lambda values: Data(tuple(values)),
    _SEQUENCE: lambda values: AmqpSequence(tuple(values)),
    _VALUE: lambda values: AmqpValue(values[0]),
}
_SYMBOLS = {
    "amqp:header:list": _HEADER,
    "amqp:delivery-annotations:map": _DELIVERY,
    "amqp:message-annotations:map": _ANNOTATIONS,
    "amqp:properties:list": _PROPERTIES,
    "amqp:application-properties:map": _APPLICATION,
    "amqp:data:binary": _DATA,
    "amqp:amqp-sequence:list": _SEQUENCE,
    "amqp:amqp-value:*": _VALUE,
    "amqp:footer:map": _FOOTER,
}
