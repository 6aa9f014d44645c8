"""Bytes to values, in every encoding of OASIS AMQP 1.0 part 1, section 1.6.

A decoder of one type gets the bytes, where the value starts and how deep it is nested; it returns the value and where
the next one starts. It may raise what `_MALFORMED` lists; `decode_value` turns that into AmqpViolation.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from iot_core.amqp.errors import DECODE_ERROR, NOT_IMPLEMENTED, AmqpViolation
from iot_core.amqp.types import (
    MAX_DEPTH,
    MAX_EMPTY_ITEMS,
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

__all__ = ["decode", "decode_descriptor", "decode_value"]

_Decoder: TypeAlias = Callable[[bytes, int, int], tuple[Value, int]]
_MALFORMED = (IndexError, StructError, ValueError, OverflowError, TypeError)


def decode(data: bytes) -> Value:
    """The one value that these bytes are. Raises AmqpViolation."""
    value, end = decode_value(data, 0)
    if end != len(data):
        raise _violation(f"{len(data) - end} bytes follow the value")
    return value


def decode_value(data: bytes, position: int) -> tuple[Value, int]:
    """The value that starts at `position`, and where the next one starts. Raises AmqpViolation."""
    try:
        return _DECODERS[data[position]](data, position + 1, 0)
    except _MALFORMED as error:
        raise _violation(_reason(error)) from None


def decode_descriptor(data: bytes, position: int) -> tuple[Value, int]:
    """The descriptor of the described value at `position`, and where the value itself starts. Raises AmqpViolation."""
    try:
        if data[position]:
            raise ValueError("a described value is expected")
        return _DECODERS[data[position + 1]](data, position + 2, 1)
    except _MALFORMED as error:
        raise _violation(_reason(error)) from None


def _violation(message: str) -> AmqpViolation:
    return AmqpViolation(f"malformed AMQP value: {message}", condition=DECODE_ERROR)


def _reason(error: Exception) -> str:
    return "it ends too early" if isinstance(error, IndexError | StructError) else str(error)


def _constant(value: Value) -> _Decoder:
    return lambda data, position, depth: (value, position)


def _fixed(kind: Callable[[Any], Value], layout: str) -> _Decoder:
    """A number of a fixed width."""
    struct = Struct(">" + layout)
    width, unpack = struct.size, struct.unpack_from
    return lambda data, position, depth: (kind(unpack(data, position)[0]), position + width)


def _plain(layout: str) -> _Decoder:
    """A number whose type is Python's own."""
    struct = Struct(">" + layout)
    width, unpack = struct.size, struct.unpack_from
    return lambda data, position, depth: (unpack(data, position)[0], position + width)


def _small_unsigned(kind: Callable[[int], Value]) -> _Decoder:
    return lambda data, position, depth: (kind(data[position]), position + 1)


def _small_signed(kind: Callable[[int], Value]) -> _Decoder:
    return lambda data, position, depth: (kind((data[position] ^ 128) - 128), position + 1)


def _boolean(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    octet = data[position]
    if octet > 1:
        raise ValueError(f"a boolean is {octet}, not 0 or 1")
    return octet == 1, position + 1


def _char(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    end = position + 4
    if end > len(data):
        raise IndexError
    return Char(data[position:end].decode("utf-32-be")), end


def _uuid(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    end = position + 16
    return uuid.UUID(bytes=data[position:end]), end


def _binary8(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    start = position + 1
    end = start + data[position]
    if end > len(data):
        raise IndexError
    return data[start:end], end


def _binary32(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    start = position + 4
    end = start + int.from_bytes(data[position:start], "big")
    if end > len(data):
        raise IndexError
    return data[start:end], end


def _string8(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    start = position + 1
    end = start + data[position]
    if end > len(data):
        raise IndexError
    return data[start:end].decode(), end


def _string32(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    raw, end = _binary32(data, position, depth)
    return raw.decode(), end


def _symbol8(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    start = position + 1
    end = start + data[position]
    if end > len(data):
        raise IndexError
    return Symbol(data[start:end].decode("ascii")), end


def _symbol32(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    raw, end = _binary32(data, position, depth)
    return Symbol(raw.decode("ascii")), end


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise ValueError(f"values are nested deeper than {MAX_DEPTH}")
    return depth + 1


def _head(data: bytes, position: int, width: int) -> tuple[int, int, int]:
    """Of a compound value: where its items start, where it ends, and the number of items."""
    if width == 1:
        start, end, count = position + 2, position + 1 + data[position], data[position + 1]
    else:
        start = position + 8
        end = position + 4 + int.from_bytes(data[position : position + 4], "big")
        count = int.from_bytes(data[position + 4 : start], "big")
    if end > len(data) or start > end:
        raise IndexError
    return start, end, count


def _items(data: bytes, start: int, end: int, count: int, depth: int) -> list[Value]:
    if count > end - start:
        raise ValueError(f"{count} items do not fit in {end - start} bytes")
    items: list[Value] = []
    append, decoders = items.append, _DECODERS
    for _ in range(count):
        value, start = decoders[data[start]](data, start + 1, depth)
        append(value)
    if start != end:
        raise ValueError("the size of a list or map is not that of its items")
    return items


def _list(width: int) -> _Decoder:
    def decode_list(data: bytes, position: int, depth: int) -> tuple[Value, int]:
        start, end, count = _head(data, position, width)
        return _items(data, start, end, count, _deeper(depth)), end

    return decode_list


def _map(width: int) -> _Decoder:
    def decode_map(data: bytes, position: int, depth: int) -> tuple[Value, int]:
        start, end, count = _head(data, position, width)
        items = _items(data, start, end, count, _deeper(depth))
        if count % 2:
            raise ValueError("a map has a key without a value")
        result = dict(zip(items[::2], items[1::2], strict=True))
        if len(result) * 2 != count:
            raise ValueError("a map has a key twice")
        return result, end

    return decode_map


def _array(width: int) -> _Decoder:
    def decode_array(data: bytes, position: int, depth: int) -> tuple[Value, int]:
        start, end, count = _head(data, position, width)
        depth = _deeper(depth)
        descriptor = None
        if data[start] == 0:
            descriptor, start = _DECODERS[data[start + 1]](data, start + 2, depth)
        code = data[start]
        if code not in _KINDS:
            raise ValueError(f"an array cannot hold items of encoding 0x{code:02x}")
        bound = MAX_EMPTY_ITEMS if code in _EMPTY_CODES else end - start
        if count > bound:
            raise ValueError(f"an array of {count} items is more than the {bound} allowed")
        position, items, item = start + 1, [], _DECODERS[code]
        for _ in range(count):
            value, position = item(data, position, depth)
            items.append(value)
        if position != end:
            raise ValueError("the size of an array is not that of its items")
        return Array(_KINDS[code], tuple(items), descriptor), end

    return decode_array


def _described(data: bytes, position: int, depth: int) -> tuple[Value, int]:
    depth = _deeper(depth)
    descriptor, position = _DECODERS[data[position]](data, position + 1, depth)
    value, position = _DECODERS[data[position]](data, position + 1, depth)
    return Described(descriptor, value), position


def _decimal(bits: int) -> _Decoder:
    def refuse(data: bytes, position: int, depth: int) -> tuple[Value, int]:
        raise AmqpViolation(f"the AMQP type decimal{bits} is not supported", condition=NOT_IMPLEMENTED)

    return refuse


def _unknown(code: int) -> _Decoder:
    def refuse(data: bytes, position: int, depth: int) -> tuple[Value, int]:
        raise ValueError(f"0x{code:02x} is no encoding of AMQP 1.0")

    return refuse


_TABLE: dict[int, tuple[str, _Decoder]] = {
    0x40: ("null", _constant(None)),
    0x41: ("boolean", _constant(True)),
    0x42: ("boolean", _constant(False)),
    0x43: ("uint", _constant(UInt(0))),
    0x44: ("ulong", _constant(ULong(0))),
    0x45: ("list", lambda data, position, depth: ([], position)),
    0x50: ("ubyte", _small_unsigned(UByte)),
    0x51: ("byte", _small_signed(Byte)),
    0x52: ("uint", _small_unsigned(UInt)),
    0x53: ("ulong", _small_unsigned(ULong)),
    0x54: ("int", _small_signed(Int)),
    0x55: ("long", _small_signed(int)),
    0x56: ("boolean", _boolean),
    0x60: ("ushort", _fixed(UShort, "H")),
    0x61: ("short", _fixed(Short, "h")),
    0x70: ("uint", _fixed(UInt, "I")),
    0x71: ("int", _fixed(Int, "i")),
    0x72: ("float", _fixed(Float, "f")),
    0x73: ("char", _char),
    0x74: ("decimal32", _decimal(32)),
    0x80: ("ulong", _fixed(ULong, "Q")),
    0x81: ("long", _plain("q")),
    0x82: ("double", _plain("d")),
    0x83: ("timestamp", _fixed(Timestamp, "q")),
    0x84: ("decimal64", _decimal(64)),
    0x94: ("decimal128", _decimal(128)),
    0x98: ("uuid", _uuid),
    0xA0: ("binary", _binary8),
    0xA1: ("string", _string8),
    0xA3: ("symbol", _symbol8),
    0xB0: ("binary", _binary32),
    0xB1: ("string", _string32),
    0xB3: ("symbol", _symbol32),
    0xC0: ("list", _list(1)),
    0xC1: ("map", _map(1)),
    0xD0: ("list", _list(4)),
    0xD1: ("map", _map(4)),
    0xE0: ("array", _array(1)),
    0xF0: ("array", _array(4)),
}
_KINDS = {code: name for code, (name, _) in _TABLE.items()}
_EMPTY_CODES = frozenset({0x40, 0x41, 0x42, 0x43, 0x44, 0x45})
_DECODERS: list[_Decoder] = [_TABLE[code][1] if code in _TABLE else _unknown(code) for code in range(256)]
_DECODERS[0] = _described
