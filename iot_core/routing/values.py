"""What a routing expression can be, at compile time and at run time.

At compile time an expression has a `StaticType`; at run time it gives a `Value`:

| static type | run-time values                                                           |
|-------------|---------------------------------------------------------------------------|
| TEXT        | str, UNDEFINED, None for a property that is there but holds no value      |
| NUMBER      | float, UNDEFINED (never NaN)                                              |
| BOOL        | bool, UNDEFINED                                                           |
| NULL        | None                                                                      |
| UNDEFINED   | UNDEFINED                                                                 |
| BODY        | str, float, bool, UNDEFINED, None for JSON null, MISSING for no such path |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from iot_core.errors import RouteError
from iot_core.routing.message import RoutedMessage

__all__ = [
    "MISSING",
    "UNDEFINED",
    "Compiled",
    "Missing",
    "Reader",
    "RouteSyntaxError",
    "StaticType",
    "Truth",
    "Undefined",
    "Value",
    "utf16",
]


class Undefined(Enum):
    """The third truth value. It is falsy, so that `if evaluate(...)` means "routed"."""

    UNDEFINED = "undefined"

    def __bool__(self) -> bool:
        return False


class Missing(Enum):
    """A body path that leads nowhere: it acts as JSON null everywhere but in `is_null`."""

    MISSING = "missing"


UNDEFINED: Final = Undefined.UNDEFINED
MISSING: Final = Missing.MISSING

Truth: TypeAlias = bool | Literal[Undefined.UNDEFINED]
Value: TypeAlias = str | float | bool | Undefined | Missing | None
Reader: TypeAlias = Callable[[RoutedMessage], Value]


class StaticType(Enum):
    """The type that an expression has before any message is seen; the value is its name in error messages."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "boolean"
    NULL = "null"
    UNDEFINED = "undefined"
    BODY = "body value"


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """An expression ready to run: its type and the closure that reads its value from a message.

    ``read_json`` gives a value of a body or twin as JSON has it, objects and arrays too, for who asks what kind it is.
    """

    type: StaticType
    read: Reader
    read_json: Callable[[RoutedMessage], Any] | None = None


class RouteSyntaxError(RouteError):
    """A route or condition that cannot be used. `position` is the offset in the text, in characters."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


def utf16(text: str) -> bytes:
    """Text as big-endian UTF-16, whose byte order is .NET's ordinal order; lone surrogates are kept."""
    return text.encode("utf-16-be", "surrogatepass")
