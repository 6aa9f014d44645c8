"""The types that fields of composites may have, as annotations that mypy and `composite` both read."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from iot_core.amqp.composite import Kind
from iot_core.amqp.encoder import (
    write,
    write_binary,
    write_boolean,
    write_string,
    write_symbol,
    write_symbol_map,
    write_symbols,
    write_timestamp,
    write_ubyte,
    write_uint,
    write_ulong,
    write_ushort,
)
from iot_core.amqp.types import Array, Symbol, Timestamp, UByte, UInt, ULong, UShort, Value

__all__ = [
    "Annotations",
    "Anything",
    "Binary",
    "Boolean",
    "Milliseconds",
    "Number8",
    "Number16",
    "Number32",
    "Number64",
    "PropertyMap",
    "Symbols",
    "Text",
    "Word",
]


def _symbols(value: Value) -> tuple[str, ...]:
    """One symbol alone may stand for an array of one (part 1, section 1.4)."""
    if isinstance(value, str):
        return (value,)
    if value.kind != "symbol" or value.descriptor is not None:
        raise ValueError(f"an array of {value.kind} stands where symbols must be")
    items: tuple[str, ...] = value.items
    return items


def _symbol_keys(value: dict[Value, Value]) -> dict[Value, Value]:
    if not all(isinstance(key, Symbol | ULong) for key in value):
        raise ValueError("its keys are not all symbols")
    return value


def _text_keys(value: dict[Value, Value]) -> dict[Value, Value]:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("its keys are not all strings")
    return value


Text: TypeAlias = Annotated[str, Kind(name="string", types=(str,), write=write_string)]
Word: TypeAlias = Annotated[str, Kind(name="symbol", types=(Symbol, str), write=write_symbol)]
"""A symbol; a string is taken too, because clients confuse them for content types."""
Symbols: TypeAlias = Annotated[
    tuple[str, ...], Kind(name="symbols", types=(Symbol, Array), convert=_symbols, write=write_symbols)
]
Binary: TypeAlias = Annotated[bytes, Kind(name="binary", types=(bytes,), write=write_binary)]
Boolean: TypeAlias = Annotated[bool, Kind(name="boolean", types=(bool,), write=write_boolean)]
Number8: TypeAlias = Annotated[int, Kind(name="ubyte", types=(UByte,), write=write_ubyte)]
Number16: TypeAlias = Annotated[int, Kind(name="ushort", types=(UShort,), write=write_ushort)]
Number32: TypeAlias = Annotated[int, Kind(name="uint", types=(UInt,), write=write_uint)]
Number64: TypeAlias = Annotated[int, Kind(name="ulong", types=(ULong,), write=write_ulong)]
Milliseconds: TypeAlias = Annotated[int, Kind(name="timestamp", types=(Timestamp,), write=write_timestamp)]
"""A point in time: milliseconds since 1970, UTC."""
Annotations: TypeAlias = Annotated[
    dict[Any, Any], Kind(name="map", types=(dict,), convert=_symbol_keys, write=write_symbol_map)
]
"""A map whose keys are symbols: properties of open, begin and attach, filters, annotations."""
PropertyMap: TypeAlias = Annotated[dict[str, Any], Kind(name="map", types=(dict,), convert=_text_keys, write=write)]
Anything: TypeAlias = Annotated[Any, Kind(name="value", write=write)]
