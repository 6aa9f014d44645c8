"""Composite types: described lists whose fields are those of a frozen dataclass (OASIS AMQP 1.0 part 1, section 1.4).

A class says what its fields are once, with the annotations of `fields`:

    @composite(0x17, "amqp:end:list")
    @dataclass(frozen=True, kw_only=True, slots=True)
    class End:
        error: fields.Error | None = None

A field without a default is mandatory. Every field is written, trailing nulls too, because some clients read them by
number without looking how many there are; `trim=True` leaves trailing nulls out, for the sections of a message.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from iot_core.amqp.decoder import decode_descriptor, decode_value
from iot_core.amqp.encoder import Writer, register_writer, write_list_body
from iot_core.amqp.errors import DECODE_ERROR, INVALID_FIELD, AmqpViolation
from iot_core.amqp.types import Described, Value

__all__ = ["Kind", "composite", "from_described", "read_composite"]

ClassT = TypeVar("ClassT", bound=type)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """The type of a field: the exact classes that a decoded value may have, what it becomes, and how it is written.

    `convert` raises ValueError for a value that does not fit.
    """

    name: str
    write: Writer
    types: tuple[type, ...] = ()
    convert: Callable[[Value], Value] | None = None

    def check(self, value: Value) -> Value:
        """What a decoded value becomes in the field. Raises ValueError."""
        if self.types and type(value) not in self.types:
            raise ValueError(f"a {type(value).__name__} stands where a {self.name} must be")
        return self.convert(value) if self.convert else value


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    name: str
    kind: Kind
    mandatory: bool
    default: Value
    put: Callable[[Any, Value], None]
    """Sets the field of a frozen object, without the cost of its __init__."""


class _Shape:
    """What is known of one composite class."""

    def __init__(self, kind: type, code: int, symbol: str, trim: bool) -> None:
        self.kind = kind
        self.name = symbol.split(":")[1]
        self.trim = trim
        self.prefix = bytes((0x00, 0x53, code))
        self.fields = _fields_of(kind)
        self._writers = [(attrgetter(field.name), field.kind.write) for field in self.fields]
        self._readers = [
            (field.put, field.kind.types, field.kind.convert, field.default, field.mandatory) for field in self.fields
        ]

    def write(self, out: bytearray, value: Any) -> None:
        body = bytearray()
        count = len(self._writers)
        last = used = 0
        for number, (get, write_field) in enumerate(self._writers, 1):
            item = get(value)
            if item is None:
                body.append(0x40)
            else:
                write_field(body, item)
                last, used = len(body), number
        if self.trim:
            del body[last:]
            count = used
        out += self.prefix
        write_list_body(out, body, count)

    def build(self, values: Value) -> Any:
        """The object with these fields. Raises AmqpViolation."""
        if type(values) is not list:
            raise self._wrong(f"is a {type(values).__name__}, not a list", DECODE_ERROR)
        missing = len(self._readers) - len(values)
        if missing < 0:
            raise self._wrong(f"has {len(values)} fields, more than its {len(self._readers)}", DECODE_ERROR)
        result: Any = object.__new__(self.kind)
        for (put, types, convert, default, mandatory), value in zip(
            self._readers, values + [None] * missing if missing else values, strict=True
        ):
            if value is None:
                if mandatory:
                    raise self._lacking(values)
                put(result, default)
            elif types and type(value) not in types:
                raise self._bad_field(values)
            elif convert is not None:
                try:
                    put(result, convert(value))
                except ValueError:
                    raise self._bad_field(values) from None
            else:
                put(result, value)
        return result

    def _wrong(self, text: str, condition: str) -> AmqpViolation:
        return AmqpViolation(f"a {self.name} {text}", condition=condition)

    def _lacking(self, values: list[Value]) -> AmqpViolation:
        padded = values + [None] * len(self.fields)
        names = [
            field.name for field, value in zip(self.fields, padded, strict=False) if field.mandatory and value is None
        ]
        return self._wrong(f"lacks its {names[0]}", INVALID_FIELD)

    def _bad_field(self, values: list[Value]) -> AmqpViolation:
        """Looks again for the field that does not fit, to name it."""
        for field, value in zip(self.fields, values, strict=False):
            try:
                if value is not None:
                    field.kind.check(value)
            except ValueError as error:
                return self._wrong(f"has a wrong {field.name}: {error}", INVALID_FIELD)
        raise AssertionError("no field is wrong")


def composite(code: int, symbol: str, *, trim: bool = False) -> Callable[[ClassT], ClassT]:
    """Class decorator: the dataclass is the composite type with this descriptor, as a number and as a symbol."""

    def decorate(kind: ClassT) -> ClassT:
        shape = _Shape(kind, code, symbol, trim)
        _BY_DESCRIPTOR[code] = _BY_DESCRIPTOR[symbol] = shape
        register_writer(kind, shape.write)
        return kind

    return decorate


def read_composite(data: bytes, position: int) -> tuple[Any, int]:
    """The composite at `position`, and where it ends. Raises AmqpViolation."""
    if data[position : position + 2] == b"\x00\x53" and position + 2 < len(data):
        shape = _BY_DESCRIPTOR.get(data[position + 2])
        position += 3
    else:
        descriptor, position = decode_descriptor(data, position)
        shape = _shape_of(descriptor)
    if shape is None:
        raise AmqpViolation("a described list of no known type", condition=DECODE_ERROR)
    values, position = decode_value(data, position)
    return shape.build(values), position


def from_described(value: Described, allowed: frozenset[type]) -> Any:
    """The composite that a described value is. Raises ValueError when it is none of those allowed."""
    shape = _shape_of(value.descriptor)
    if shape is None or shape.kind not in allowed:
        raise ValueError(f"it has the descriptor {value.descriptor!r}")
    return shape.build(value.value)


def _shape_of(descriptor: Value) -> _Shape | None:
    return _BY_DESCRIPTOR.get(descriptor) if isinstance(descriptor, int | str) else None


def _fields_of(kind: type) -> list[_Field]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        _Field(
            name=field.name,
            kind=_kind_in(hints[field.name]),
            mandatory=field.default is dataclasses.MISSING,
            default=None if field.default is dataclasses.MISSING else field.default,
            put=getattr(kind, field.name).__set__,
        )
        for field in dataclasses.fields(kind)
    ]


def _kind_in(hint: Any) -> Kind:
    """The Kind among the annotations of a field, which may be optional."""
    for candidate in (hint, *typing.get_args(hint)):
        for extra in getattr(candidate, "__metadata__", ()):
            if isinstance(extra, Kind):
                return extra
    raise TypeError(f"{hint} has no Kind: use the annotations of iot_core.amqp.fields")


_BY_DESCRIPTOR: dict[int | str, _Shape] = {}
