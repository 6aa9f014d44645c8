"""Values of the query language and how they compare.

A value is JSON as Python holds it, or UNDEFINED for a path that leads nowhere. Equality knows types ('5' is not 5,
true is not 1); values of different types are unequal and have no order; objects and arrays cannot be compared with
each other. Anything with an undefined side is undefined.

Source of the rules: IoT Hub developer guide, "IoT Hub query language for device and module twins, jobs, and message
routing" (expressions and conditions); what it leaves open follows the SQL dialect of Azure Cosmos DB.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from iot_core.errors import QueryError

__all__ = ["COMPARISONS", "UNDEFINED", "Document", "QuerySyntaxError", "Reader", "Truth", "Undefined", "arithmetic"]


class Undefined(Enum):
    """The third truth value, and the value of a path that leads nowhere. It is falsy."""

    UNDEFINED = "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined.UNDEFINED

Document: TypeAlias = Mapping[str, Any]
"""A twin, module twin or device job as JSON."""

Truth: TypeAlias = bool | Literal[Undefined.UNDEFINED]
Reader: TypeAlias = Callable[[Document], Any]


class QuerySyntaxError(QueryError):
    """A query that is not in the language. `position` is the offset in the text, in characters."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


class _Type(Enum):
    NULL = "null"
    BOOLEAN = "boolean"
    NUMBER = "number"
    STRING = "string"
    CONTAINER = "object or array"


_TYPES: Final[dict[type, _Type]] = {
    type(None): _Type.NULL,
    bool: _Type.BOOLEAN,
    int: _Type.NUMBER,
    float: _Type.NUMBER,
    str: _Type.STRING,
}
_ORDERED: Final = frozenset({_Type.BOOLEAN, _Type.NUMBER, _Type.STRING})


def equal(left: object, right: object) -> Truth:
    """`=`; two objects or arrays give UNDEFINED."""
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    type_ = _TYPES.get(type(left), _Type.CONTAINER)
    if type_ is not _TYPES.get(type(right), _Type.CONTAINER):
        return False
    if type_ is _Type.CONTAINER:
        return UNDEFINED
    return bool(left == right)


def _unequal(left: Any, right: Any) -> Truth:
    same = equal(left, right)
    return UNDEFINED if same is UNDEFINED else not same


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Truth]:
    def compare(left: Any, right: Any) -> Truth:
        type_ = _TYPES.get(type(left))
        if type_ not in _ORDERED or type_ is not _TYPES.get(type(right)):
            return UNDEFINED
        return test(left, right)

    return compare


COMPARISONS: Final[dict[str, Callable[[Any, Any], Truth]]] = {
    "=": equal,
    "!=": _unequal,
    "<>": _unequal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}

_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}


def is_number(value: Any) -> bool:
    """True for int and float, not for bool."""
    return type(value) is int or type(value) is float


def arithmetic(symbol: str) -> Callable[[Any, Any], Any]:
    """The function of `+ - * / %`: UNDEFINED for anything but numbers, for division by zero and for NaN."""
    calculate = _ARITHMETIC[symbol]

    def apply(left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            return UNDEFINED
        try:
            result = calculate(left, right)
        except (ArithmeticError, ValueError):
            return UNDEFINED
        return UNDEFINED if result != result else result

    return apply
