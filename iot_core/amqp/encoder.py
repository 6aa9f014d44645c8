"""Values to bytes, each in the smallest encoding of its type (OASIS AMQP 1.0 part 1, section 1.6)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from iot_core.amqp.types import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    Value,
)
from iot_core.errors import LocalProtocolError

__all__ = ["Writer", "encode", "encode_with", "register_writer", "write"]

Writer: TypeAlias = Callable[[bytearray, Any], None]
"""Appends one value to the bytes. May raise struct.error for a number out of range; `encode` turns that round."""

pack_u16 = Struct(">H").pack
pack_u32 = Struct(">I").pack
pack_u64 = Struct(">Q").pack
pack_i32 = Struct(">i").pack
pack_i64 = Struct(">q").pack


def encode(value: Value) -> bytes:
    """Raises LocalProtocolError for a value that AMQP has no type for, or that does not fit in its type."""
    return encode_with(write, value)


def encode_with(writer: Writer, value: Any) -> bytes:
    """What `writer` makes of the value. Raises LocalProtocolError."""
    out = bytearray()
    try:
        writer(out, value)
    except (StructError, ValueError, OverflowError, AttributeError, TypeError) as error:
        raise LocalProtocolError(f"a {type(value).__name__} cannot be encoded for AMQP: {error}") from None
    return bytes(out)


def write(out: bytearray, value: Value) -> None:
    """Append a value of any type."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise LocalProtocolError(
            f"AMQP has no type for a Python {type(value).__name__}: use one of iot_core.amqp.types"
        )
    writer(out, value)


def register_writer(kind: type, writer: Writer) -> None:
    """Let `write` take values of one more class."""
    _WRITERS[kind] = writer


def write_null(out: bytearray, _value: None) -> None:
    out.append(0x40)


def write_boolean(out: bytearray, value: bool) -> None:
    out.append(0x41 if value else 0x42)


def write_ubyte(out: bytearray, value: int) -> None:
    out.append(0x50)
    out.append(value)


def write_ushort(out: bytearray, value: int) -> None:
    out.append(0x60)
    out += pack_u16(value)


def write_uint(out: bytearray, value: int) -> None:
    if value == 0:
        out.append(0x43)
    elif 0 < value < 256:
        out.append(0x52)
        out.append(value)
    else:
        out.append(0x70)
        out += pack_u32(value)


def write_ulong(out: bytearray, value: int) -> None:
    if value == 0:
        out.append(0x44)
    elif 0 < value < 256:
        out.append(0x53)
        out.append(value)
    else:
        out.append(0x80)
        out += pack_u64(value)


def write_int(out: bytearray, value: int) -> None:
    if -128 <= value < 128:
        out.append(0x54)
        out.append(value & 255)
    else:
        out.append(0x71)
        out += pack_i32(value)


def write_long(out: bytearray, value: int) -> None:
    if -128 <= value < 128:
        out.append(0x55)
        out.append(value & 255)
    else:
        out.append(0x81)
        out += pack_i64(value)


def write_timestamp(out: bytearray, value: int) -> None:
    out.append(0x83)
    out += pack_i64(value)


def write_binary(out: bytearray, value: bytes) -> None:
    _write_octets(out, value, 0xA0, 0xB0)


def write_string(out: bytearray, value: str) -> None:
    _write_octets(out, value.encode(), 0xA1, 0xB1)


def write_symbol(out: bytearray, value: str) -> None:
    _write_octets(out, value.encode("ascii"), 0xA3, 0xB3)


def write_symbols(out: bytearray, values: tuple[str, ...]) -> None:
    """A field that may hold several symbols (part 1, section 1.4): always as an array."""
    _write_array(out, Array("symbol", values))


def write_list(out: bytearray, values: list[Value]) -> None:
    body = bytearray()
    for value in values:
        write(body, value)
    write_list_body(out, body, len(values))


def write_list_body(out: bytearray, body: bytearray, count: int) -> None:
    """A list whose items are encoded already."""
    if count == 0:
        out.append(0x45)
    else:
        _write_compound(out, body, count, 0xC0, 0xD0)


def write_map(out: bytearray, values: dict[Value, Value]) -> None:
    body = bytearray()
    for key, value in values.items():
        write(body, key)
        write(body, value)
    _write_compound(out, body, 2 * len(values), 0xC1, 0xD1)


def write_symbol_map(out: bytearray, values: dict[Value, Value]) -> None:
    """A map whose keys are symbols (fields, annotations, filters); plain strings are taken for symbols."""
    body = bytearray()
    for key, value in values.items():
        if type(key) is str:
            write_symbol(body, key)
        else:
            write(body, key)
        write(body, value)
    _write_compound(out, body, 2 * len(values), 0xC1, 0xD1)


def _write_octets(out: bytearray, raw: bytes, short: int, wide: int) -> None:
    size = len(raw)
    if size < 256:
        out.append(short)
        out.append(size)
    else:
        out.append(wide)
        out += pack_u32(size)
    out += raw


def _write_compound(out: bytearray, body: bytearray, count: int, short: int, wide: int) -> None:
    size = len(body)
    if size < 255 and count < 256:
        out.append(short)
        out.append(size + 1)
        out.append(count)
    else:
        out.append(wide)
        out += pack_u32(size + 4)
        out += pack_u32(count)
    out += body


def _write_fixed(code: int, layout: str) -> Writer:
    pack = Struct(">" + layout).pack

    def write_number(out: bytearray, value: Any) -> None:
        out.append(code)
        out += pack(value)

    return write_number


def _write_char(out: bytearray, value: str) -> None:
    if len(value) != 1:
        raise ValueError(f"{len(value)} characters are not one")
    out.append(0x73)
    out += value.encode("utf-32-be")


def _write_uuid(out: bytearray, value: uuid.UUID) -> None:
    out.append(0x98)
    out += value.bytes


def _write_described(out: bytearray, value: Described) -> None:
    out.append(0)
    write(out, value.descriptor)
    write(out, value.value)


def _write_array(out: bytearray, value: Array) -> None:
    """Every item in the same, widest encoding of the type: an array has one constructor for all."""
    if value.kind not in _ARRAY_ITEMS:
        raise LocalProtocolError(f"an AMQP array cannot hold items of the type {value.kind!r}")
    code, item_writer = _ARRAY_ITEMS[value.kind]
    body = bytearray()
    if value.descriptor is not None:
        body.append(0)
        write(body, value.descriptor)
    body.append(code)
    for item in value.items:
        item_writer(body, item)
    _write_compound(out, body, len(value.items), 0xE0, 0xF0)


def _number(layout: str) -> Writer:
    pack = Struct(">" + layout).pack

    def item(out: bytearray, value: Any) -> None:
        out += pack(value)

    return item


def _octets(encoder: Callable[[Any], bytes]) -> Writer:
    def item(out: bytearray, value: Any) -> None:
        raw = encoder(value)
        out += pack_u32(len(raw)) + raw

    return item


def _compound(value_writer: Writer, short: int) -> Writer:
    """An item that is itself a list, map or array, in its wide encoding."""

    def item(out: bytearray, value: Any) -> None:
        encoded = bytearray()
        value_writer(encoded, value)
        if encoded[0] == 0x45:
            out += pack_u32(4) + pack_u32(0)
        elif encoded[0] == short:
            out += pack_u32(encoded[1] + 3) + pack_u32(encoded[2]) + encoded[3:]
        else:
            out += encoded[1:]

    return item


def _no_octets(out: bytearray, value: None) -> None:
    """A null has no bytes besides its constructor."""


_ARRAY_ITEMS: dict[str, tuple[int, Writer]] = {
    "null": (0x40, _no_octets),
    "boolean": (0x56, _number("?")),
    "ubyte": (0x50, _number("B")),
    "byte": (0x51, _number("b")),
    "ushort": (0x60, _number("H")),
    "short": (0x61, _number("h")),
    "uint": (0x70, _number("I")),
    "int": (0x71, _number("i")),
    "float": (0x72, _number("f")),
    "char": (0x73, lambda out, value: out.extend(value.encode("utf-32-be"))),
    "ulong": (0x80, _number("Q")),
    "long": (0x81, _number("q")),
    "double": (0x82, _number("d")),
    "timestamp": (0x83, _number("q")),
    "uuid": (0x98, lambda out, value: out.extend(value.bytes)),
    "binary": (0xB0, _octets(bytes)),
    "string": (0xB1, _octets(str.encode)),
    "symbol": (0xB3, _octets(lambda value: value.encode("ascii"))),
    "list": (0xD0, _compound(write_list, 0xC0)),
    "map": (0xD1, _compound(write_map, 0xC1)),
    "array": (0xF0, _compound(_write_array, 0xE0)),
}
_WRITERS: dict[type, Writer] = {
    type(None): write_null,
    bool: write_boolean,
    UByte: write_ubyte,
    UShort: write_ushort,
    UInt: write_uint,
    ULong: write_ulong,
    Byte: _write_fixed(0x51, "b"),
    Short: _write_fixed(0x61, "h"),
    Int: write_int,
    int: write_long,
    Float: _write_fixed(0x72, "f"),
    float: _write_fixed(0x82, "d"),
    Char: _write_char,
    Timestamp: write_timestamp,
    uuid.UUID: _write_uuid,
    bytes: write_binary,
    str: write_string,
    Symbol: write_symbol,
    list: write_list,
    dict: write_map,
    Array: _write_array,
    Described: _write_described,
}
