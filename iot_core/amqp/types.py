"""AMQP's primitive types as Python values (OASIS AMQP 1.0 part 1, section 1.6).

    AMQP        Python             AMQP        Python              AMQP        Python
    null        None               ubyte       UByte               float       Float
    boolean     bool               ushort      UShort              double      float
    byte        Byte               uint        UInt                char        Char
    short       Short              ulong       ULong               timestamp   Timestamp, milliseconds since 1970
    int         Int                binary      bytes               uuid        uuid.UUID
    long        int                string      str                 symbol      Symbol
    list        list               map         dict                array       Array

What is decoded has exactly these types, and what is encoded becomes the smallest encoding of its type; numbers that do
not fit raise LocalProtocolError there. The three decimal types are refused by name. Keys of a map must differ for
Python, which takes 1 and True, or a symbol and a string of the same letters, for equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = [
    "Array",
    "Byte",
    "Char",
    "Described",
    "Float",
    "Int",
    "Short",
    "Symbol",
    "Timestamp",
    "UByte",
    "UInt",
    "ULong",
    "UShort",
    "Value",
]

Value: TypeAlias = Any
"""One of the types in the table above, a Described, or a composite of `performatives` and `messaging`."""

MAX_DEPTH = 32
"""Lists, maps, arrays and descriptors inside each other; the deepest that AMQP itself defines is 6."""
MAX_EMPTY_ITEMS = 1024
"""Items of an array whose encoding has no bytes at all, so that the size of the frame does not bound them."""


class Symbol(str):
    """Text of ASCII characters from a constrained domain."""

    __slots__ = ()


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class UByte(int):
    """0 to 255."""

    __slots__ = ()


class UShort(int):
    """0 to 2**16 - 1."""

    __slots__ = ()


class UInt(int):
    """0 to 2**32 - 1."""

    __slots__ = ()


class ULong(int):
    """0 to 2**64 - 1."""

    __slots__ = ()


class Byte(int):
    """-128 to 127."""

    __slots__ = ()


class Short(int):
    """-2**15 to 2**15 - 1."""

    __slots__ = ()


class Int(int):
    """-2**31 to 2**31 - 1."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970 in UTC, 64 bits with a sign."""

    __slots__ = ()


class Float(float):
    """A number of single precision."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor, as a rule a ULong or a Symbol, that says what it means."""

    descriptor: Value
    value: Value


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type. `kind` is that type's AMQP name; `descriptor` is given when the items are described."""

    kind: str
    items: tuple[Value, ...]
    descriptor: Value = None
