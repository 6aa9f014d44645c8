"""Operators of conditions: the types they take, and the closures that evaluate them.

Evaluation is three-valued and never raises: what cannot be computed is UNDEFINED.

Source of the rules: Azure/iotedge, edge-hub, `ConditionVisitor`, `ComparisonOperators`, `QueryValue`, `Bool`, `Null`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from iot_core.routing.message import RoutedMessage
from iot_core.routing.values import (
    MISSING,
    UNDEFINED,
    Compiled,
    Reader,
    RouteSyntaxError,
    StaticType,
    Truth,
    Undefined,
    Value,
    utf16,
)

__all__ = ["arithmetic", "as_body", "coalesce", "compare", "divide", "logical", "negate", "negation", "truth"]

TEXT, NUMBER, BOOL, NULL, BODY = (
    StaticType.TEXT,
    StaticType.NUMBER,
    StaticType.BOOL,
    StaticType.NULL,
    StaticType.BODY,
)
_CARRIED_BY_BODY: Final = frozenset({TEXT, NUMBER, BOOL, NULL, BODY})
_TRUTHS: Final = frozenset({BOOL, NULL, StaticType.UNDEFINED})

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _types_error(symbol: str, operands: Sequence[Compiled], position: int) -> RouteSyntaxError:
    given = " and ".join(operand.type.value for operand in operands)
    hint = "; properties are text: use as_number(...)" if {o.type for o in operands} == {TEXT, NUMBER} else ""
    return RouteSyntaxError(f"{symbol} does not take {given}{hint}", position)


def as_body(operand: Compiled) -> Reader:
    """Read an operand as a body value. A property without a value compares as undefined."""
    if operand.type is not TEXT:
        return operand.read
    read = operand.read

    def text(message: RoutedMessage) -> Value:
        value = read(message)
        return UNDEFINED if value is None else value

    return text


def _matches(left: StaticType, right: StaticType) -> bool:
    if left is right:
        return True
    return (left is BODY and right in _CARRIED_BY_BODY) or (right is BODY and left in _CARRIED_BY_BODY)


# Comparison


def compare(symbol: str, left: Compiled, right: Compiled, position: int) -> Compiled:
    """`= != <> < <= > >=`: the same type on both sides, or a body value with anything but `undefined`."""
    if not _matches(left.type, right.type):
        raise _types_error(symbol, (left, right), position)
    test = _COMPARISONS[symbol]
    if BODY in (left.type, right.type):
        return Compiled(type=BOOL, read=_compare_body(test, as_body(left), as_body(right)))
    if left.type is TEXT and test not in (operator.eq, operator.ne):
        return Compiled(type=BOOL, read=_compare_order(test, left.read, right.read))
    if left.type is NULL:
        same = test(0, 0)
        return Compiled(type=BOOL, read=lambda message: same)
    return Compiled(type=BOOL, read=_compare_same(test, left.read, right.read))


def _compare_same(test: Callable[[Any, Any], bool], left: Reader, right: Reader) -> Reader:
    """Both texts, both numbers or both booleans."""

    def read(message: RoutedMessage) -> Value:
        a, b = left(message), right(message)
        if a is UNDEFINED or b is UNDEFINED or a is None or b is None:
            return UNDEFINED
        return test(a, b)

    return read


def _compare_order(test: Callable[[Any, Any], bool], left: Reader, right: Reader) -> Reader:
    """Two texts by UTF-16 code units."""

    def read(message: RoutedMessage) -> Value:
        a, b = left(message), right(message)
        if isinstance(a, str) and isinstance(b, str):
            return test(a, b) if a.isascii() and b.isascii() else test(utf16(a), utf16(b))
        return UNDEFINED

    return read


def _compare_body(test: Callable[[Any, Any], bool], left: Reader, right: Reader) -> Reader:
    def read(message: RoutedMessage) -> Value:
        a, b = left(message), right(message)
        if a is UNDEFINED or b is UNDEFINED:
            return UNDEFINED
        if type(a) is type(b) and _is_plain(a):
            return test(a, b)
        return test(_rank(a), _rank(b))

    return read


def _is_plain(value: Value) -> bool:
    """True when Python orders the value among others of its type as the edge hub does."""
    return value.isascii() if isinstance(value, str) else isinstance(value, float | bool)


def _rank(value: Value) -> tuple[int, Any]:
    """A key that orders values of all types: boolean < number < text < null. A missing path is null."""
    if value is None or value is MISSING:
        return 4, 0
    if isinstance(value, str):
        return 3, utf16(value)
    return (1, value) if isinstance(value, bool) else (2, value)


# Arithmetic


def divide(left: float, right: float) -> float:
    """IEEE division: by zero it gives an infinity, or NaN for 0/0."""
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


def _remainder(left: float, right: float) -> float:
    try:
        return math.fmod(left, right)
    except ValueError:
        return math.nan


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": _remainder,
}


def arithmetic(symbol: str, left: Compiled, right: Compiled, position: int) -> Compiled:
    """`+ - * /` on numbers and body values, `%` on numbers."""
    types = {left.type, right.type}
    if not types <= {NUMBER, BODY} or (symbol == "%" and BODY in types):
        raise _types_error(symbol, (left, right), position)
    calculate, read_left, read_right = _ARITHMETIC[symbol], left.read, right.read

    def read(message: RoutedMessage) -> Value:
        a, b = read_left(message), read_right(message)
        if isinstance(a, float) and isinstance(b, float):
            result = calculate(a, b)
            return UNDEFINED if math.isnan(result) else result
        return UNDEFINED

    return Compiled(type=BODY if BODY in types else NUMBER, read=read)


def negate(operand: Compiled, position: int) -> Compiled:
    """Unary minus, on numbers only: body values have none."""
    if operand.type is not NUMBER:
        raise _types_error("unary -", (operand,), position)
    inner = operand.read

    def read(message: RoutedMessage) -> Value:
        value = inner(message)
        return -value if isinstance(value, float) else UNDEFINED

    return Compiled(type=NUMBER, read=read)


# Truth


def negation(operand: Compiled, position: int) -> Compiled:
    """NOT, on booleans, null (which gives true) and body values."""
    if operand.type is NULL:
        return Compiled(type=BOOL, read=lambda message: True)
    if operand.type not in (BOOL, BODY):
        raise _types_error("NOT", (operand,), position)
    inner = operand.read

    def read(message: RoutedMessage) -> Value:
        value = inner(message)
        return not value if isinstance(value, bool) else UNDEFINED

    return Compiled(type=BOOL, read=read)


def logical(symbol: str, operands: Sequence[Compiled], position: int) -> Compiled:
    """A chain of AND or OR from the left.

    The first operand may be a body value, then the second may be anything; all others are booleans, null or undefined.
    """
    first, *others = operands
    if first.type is BODY:
        first, others = _logical_body(symbol, first, others[0], position), others[1:]
    for operand in (first, *others):
        if operand.type not in _TRUTHS:
            raise _types_error(symbol, operands, position)
    return _chain(symbol, [first, *others])


def _logical_body(symbol: str, left: Compiled, right: Compiled, position: int) -> Compiled:
    """Both sides have to be booleans at run time; there is no short cut."""
    if symbol == "AND" and right.type is NULL:
        # The edge hub types this as null, and no body value converts to it.
        raise _types_error(symbol, (left, right), position)
    read_left, read_right, dominant = left.read, right.read, symbol == "OR"

    def read(message: RoutedMessage) -> Value:
        a, b = read_left(message), read_right(message)
        if isinstance(a, bool) and isinstance(b, bool):
            return dominant if dominant in (a, b) else not dominant
        return UNDEFINED

    return Compiled(type=BOOL, read=read)


def _chain(symbol: str, operands: list[Compiled]) -> Compiled:
    if len(operands) == 1:
        return operands[0]
    nulls = [operand.type is NULL for operand in operands]
    if all(nulls) or (symbol == "AND" and any(nulls)):
        return Compiled(type=NULL, read=lambda message: None)
    # What is left of null is OR: null OR x is x.
    readers = [operand.read for operand in operands if operand.type is not NULL]
    return Compiled(type=BOOL, read=_kleene(symbol == "OR", readers))


def _kleene(dominant: bool, readers: list[Reader]) -> Reader:
    """AND (dominant False) or OR (dominant True): the dominant value wins, else an undefined one, else the other."""

    def read(message: RoutedMessage) -> Value:
        result: Value = not dominant
        for reader in readers:
            value = reader(message)
            if value is dominant:
                return dominant
            if value is UNDEFINED:
                result = UNDEFINED
        return result

    return read


def coalesce(left: Compiled, right: Compiled, position: int) -> Compiled:
    """`??`: the right side where the left one is undefined; both of one type, or one of them a body value."""
    if not _matches(left.type, right.type):
        raise _types_error("??", (left, right), position)
    either = BODY in (left.type, right.type)
    read_left, read_right = (as_body(left), as_body(right)) if either else (left.read, right.read)

    def read(message: RoutedMessage) -> Value:
        value = read_left(message)
        return read_right(message) if value is UNDEFINED else value

    return Compiled(type=BODY if either else right.type, read=read)


def truth(condition: Compiled) -> Callable[[RoutedMessage], Truth]:
    """A whole condition as a truth value: null is false; text, numbers and other body values are undefined."""
    inner = condition.read
    if condition.type is NULL:
        return lambda message: False
    if condition.type not in (BOOL, BODY):
        return lambda message: UNDEFINED

    def read(message: RoutedMessage) -> bool | Undefined:
        value = inner(message)
        return value if isinstance(value, bool) else UNDEFINED

    return read
