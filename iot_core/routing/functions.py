"""Functions of conditions, by lower-case name; names are written in any case.

A function has signatures; the first one that fits the static types of the arguments is used. A body value fits
wherever a signature says `body`. At run time an argument of another type than asked for makes the result UNDEFINED.

Source of the rules: IoT Hub documentation, "IoT Hub message routing query syntax", and Azure/iotedge, edge-hub,
`Query/Builtins`. `twin_change_includes` compiles only for a route whose source is the built-in twin type, which no
route of a deployment has, so it is refused here as there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from iot_core.routing.message import RoutedMessage
from iot_core.routing.values import (
    MISSING,
    UNDEFINED,
    Compiled,
    Reader,
    RouteSyntaxError,
    StaticType,
    Value,
    utf16,
)

__all__ = ["EDGE_INSPECTIONS", "FUNCTIONS", "Inspection", "call", "concatenate", "parse_number"]

TEXT, NUMBER, BOOL, BODY = StaticType.TEXT, StaticType.NUMBER, StaticType.BOOL, StaticType.BODY

Inspection: TypeAlias = Callable[[Compiled], Reader]
"""A function of one argument of any type that says what kind of value it is."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Argument types, the result's type, and the function on run-time values."""

    arguments: tuple[StaticType, ...]
    result: StaticType
    apply: Callable[..., Value]

    def fits(self, given: Sequence[StaticType]) -> bool:
        return len(given) == len(self.arguments) and all(
            type_ in (wanted, BODY) for type_, wanted in zip(given, self.arguments, strict=True)
        )


def call(
    name: str, arguments: Sequence[Compiled], position: int, inspections: Mapping[str, Inspection] | None = None
) -> Compiled:
    """Compile a call; without `inspections`, the functions that take any type are those of the edge hub.

    Raises `RouteSyntaxError` for an unknown function, a wrong number of arguments or wrong types.
    """
    inspections = EDGE_INSPECTIONS if inspections is None else inspections
    folded = name.lower()
    if folded == "concat":
        return concatenate(arguments, name, position)
    if folded in inspections:
        return _inspect(inspections[folded], name, arguments, position)
    if folded not in FUNCTIONS:
        raise RouteSyntaxError(f"there is no function {name} in routes", position)
    for signature in FUNCTIONS[folded]:
        if signature.fits([argument.type for argument in arguments]):
            return Compiled(type=signature.result, read=_apply(signature.apply, arguments))
    raise _arguments_error(name, arguments, [signature.arguments for signature in FUNCTIONS[folded]], position)


def _arguments_error(
    name: str, given: Sequence[Compiled], wanted: Sequence[Sequence[StaticType]], position: int
) -> RouteSyntaxError:
    forms = " or ".join(f"({_listed(types)})" for types in wanted)
    return RouteSyntaxError(f"{name} takes {forms}, not ({_listed([a.type for a in given])})", position)


def _listed(types: Sequence[StaticType]) -> str:
    return ", ".join(type_.value for type_ in types)


def _apply(function: Callable[..., Value], arguments: Sequence[Compiled]) -> Reader:
    readers = [argument.read for argument in arguments]
    if len(readers) == 1:
        only = readers[0]
        return lambda message: function(only(message))
    return lambda message: function(*[reader(message) for reader in readers])


# Numbers


def _on_numbers(function: Callable[..., float]) -> Callable[..., Value]:
    """A function on floats made total: UNDEFINED for other arguments and for NaN."""

    def apply(*values: Value) -> Value:
        if not all(isinstance(value, float) for value in values):
            return UNDEFINED
        result = function(*values)
        return UNDEFINED if math.isnan(result) else result

    return apply


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        if base < 0 and not exponent.is_integer():
            return math.nan
        odd = exponent % 2 == 1
        return -math.inf if odd and math.copysign(1.0, base) < 0 else math.inf


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(function(value)) if math.isfinite(value) else value


def _sign(value: float) -> float:
    return float((value > 0) - (value < 0))


_NUMBER_TEXT: Final = re.compile(
    r"(?P<open>\()?¤?\s*(?P<sign>[+-]?)\s*¤?(?P<digits>[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)(?P<power>[eE][+-]?[0-9]+)?"
    r"\s*¤?(?P<trailing>[+-]?)\s*¤?(?P<close>\))?",
    re.ASCII,
)
_SPECIAL_NUMBERS: Final = {"infinity": math.inf, "+infinity": math.inf, "-infinity": -math.inf}


def parse_number(text: str) -> float | None:
    """Text as .NET reads a number in the invariant culture (spaces, thousands, trailing signs), or None."""
    text = text.strip(" \t\n\v\f\r")
    if text.lower() in _SPECIAL_NUMBERS:
        return _SPECIAL_NUMBERS[text.lower()]
    match = _NUMBER_TEXT.fullmatch(text)
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    if sum(map(bool, (match["sign"], match["trailing"], match["open"]))) > 1:
        return None
    value = float(match["digits"].replace(",", "") + (match["power"] or ""))
    return -value if match["open"] or "-" in match["sign"] + match["trailing"] else value


def _as_number(value: Value) -> Value:
    if isinstance(value, float):
        return value
    number = parse_number(value) if isinstance(value, str) else None
    return UNDEFINED if number is None else number


# Text; lengths and offsets count UTF-16 units, as .NET does


def _length(value: Value) -> Value:
    if not isinstance(value, str):
        return UNDEFINED
    return float(len(value) if value.isascii() else len(utf16(value)) // 2)


def _mapped(convert: Callable[[str], str]) -> Callable[[Value], Value]:
    """Change case one character at a time: those that would become several stay as they are, as in .NET."""

    def one(character: str) -> str:
        changed = convert(character)
        return changed if len(changed) == 1 else character

    def apply(value: Value) -> Value:
        if not isinstance(value, str):
            return UNDEFINED
        return convert(value) if value.isascii() else "".join(map(one, value))

    return apply


def _rest(value: Value, start: Value) -> Value:
    """`substring` of two arguments; the start may be the very end."""
    if not (isinstance(value, str) and isinstance(start, float)):
        return UNDEFINED
    units = utf16(value)
    return _cut(units, int(start), len(units) // 2) if 0 <= start <= len(units) // 2 else UNDEFINED


def _part(value: Value, start: Value, length: Value) -> Value:
    """`substring` of three arguments; the start has to be before the end, the length within the rest."""
    if not (isinstance(value, str) and isinstance(start, float) and isinstance(length, float)):
        return UNDEFINED
    units = utf16(value)
    size = len(units) // 2
    if not (0 <= start < size and 0 <= length <= size - start):
        return UNDEFINED
    return _cut(units, int(start), int(start) + int(length))


def _cut(units: bytes, start: int, end: int) -> str:
    return units[2 * start : 2 * end].decode("utf-16-be", "surrogatepass")


def _index_of(value: Value, fragment: Value) -> Value:
    if not (isinstance(value, str) and isinstance(fragment, str)):
        return UNDEFINED
    index = value.find(fragment)
    return float(index if index < 0 or value.isascii() else len(utf16(value[:index])) // 2)


def _on_texts(test: Callable[[str, str], bool]) -> Callable[[Value, Value], Value]:
    def apply(value: Value, fragment: Value) -> Value:
        if isinstance(value, str) and isinstance(fragment, str):
            return test(value, fragment)
        return UNDEFINED

    return apply


def concatenate(arguments: Sequence[Compiled], name: str, position: int) -> Compiled:
    """`concat` and `||`: two or more texts. A property without a value counts as empty, an undefined one undoes all."""
    if len(arguments) < 2 or any(argument.type not in (TEXT, BODY) for argument in arguments):
        raise _arguments_error(name, arguments, [(TEXT, TEXT)], position)
    readers = [_or_empty(argument) for argument in arguments]

    def read(message: RoutedMessage) -> Value:
        parts = [reader(message) for reader in readers]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else UNDEFINED

    return Compiled(type=TEXT, read=read)


def _or_empty(argument: Compiled) -> Reader:
    if argument.type is not TEXT:
        return argument.read
    inner = argument.read

    def read(message: RoutedMessage) -> Value:
        value = inner(message)
        return "" if value is None else value

    return read


def _signatures(result: StaticType, apply: Callable[..., Value], *forms: tuple[StaticType, ...]) -> list[Signature]:
    return [Signature(arguments=form, result=result, apply=apply) for form in forms]


FUNCTIONS: Final[dict[str, list[Signature]]] = {
    "abs": _signatures(NUMBER, _on_numbers(abs), (NUMBER,)),
    "exp": _signatures(NUMBER, _on_numbers(_exp), (NUMBER,)),
    "power": _signatures(NUMBER, _on_numbers(_power), (NUMBER, NUMBER)),
    "square": _signatures(NUMBER, _on_numbers(lambda value: value * value), (NUMBER,)),
    "sqrt": _signatures(NUMBER, _on_numbers(lambda value: math.sqrt(value) if value >= 0 else math.nan), (NUMBER,)),
    "ceiling": _signatures(NUMBER, _on_numbers(_rounded(math.ceil)), (NUMBER,)),
    "floor": _signatures(NUMBER, _on_numbers(_rounded(math.floor)), (NUMBER,)),
    "sign": _signatures(NUMBER, _on_numbers(_sign), (NUMBER,)),
    "as_number": _signatures(NUMBER, _as_number, (TEXT,), (NUMBER,)),
    "length": _signatures(NUMBER, _length, (TEXT,)),
    "lower": _signatures(TEXT, _mapped(str.lower), (TEXT,)),
    "upper": _signatures(TEXT, _mapped(str.upper), (TEXT,)),
    "substring": _signatures(TEXT, _rest, (TEXT, NUMBER)) + _signatures(TEXT, _part, (TEXT, NUMBER, NUMBER)),
    "index_of": _signatures(NUMBER, _index_of, (TEXT, TEXT)),
    "starts_with": _signatures(BOOL, _on_texts(str.startswith), (TEXT, TEXT)),
    "ends_with": _signatures(BOOL, _on_texts(str.endswith), (TEXT, TEXT)),
    "contains": _signatures(BOOL, _on_texts(lambda value, fragment: fragment in value), (TEXT, TEXT)),
}
"""All but `concat` and the inspections, which take any type."""


# Inspections


def _is_null_body(value: Value) -> Value:
    """Inverted, as in the edge hub: true for every value that is there, null included, and false for a missing path."""
    return UNDEFINED if value is UNDEFINED else value is not MISSING


def _is_null(argument: Compiled) -> Reader:
    return _apply(_is_null_body if argument.type is BODY else lambda value: value is None, [argument])


def _seeing(test: Callable[[Value], Value]) -> Inspection:
    return lambda argument: _apply(test, [argument])


EDGE_INSPECTIONS: Final[Mapping[str, Inspection]] = MappingProxyType(
    {
        "is_defined": _seeing(lambda value: value is not UNDEFINED),
        "is_null": _is_null,
        "is_bool": _seeing(lambda value: isinstance(value, bool)),
        "is_number": _seeing(lambda value: isinstance(value, float) and math.isfinite(value)),
        "is_string": _seeing(lambda value: isinstance(value, str)),
    }
)
"""What kind of value something is, by lower-case name, as the edge hub answers."""


def _inspect(inspection: Inspection, name: str, arguments: Sequence[Compiled], position: int) -> Compiled:
    if len(arguments) != 1:
        raise RouteSyntaxError(f"{name} takes one value, not {len(arguments)}", position)
    return Compiled(type=BOOL, read=inspection(arguments[0]))
