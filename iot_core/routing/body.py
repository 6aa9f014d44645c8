"""`$body` paths: `name`, then `.name` or `.name[index]`, with no wildcard, slice, quote or negative index.

Source of the rules: Azure/iotedge, edge-hub, `JsonPath.g4`, `BodyQuery`, `JsonMessageQueryValueProvider`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from iot_core.routing.message import RoutedMessage
from iot_core.routing.values import MISSING, UNDEFINED, Reader, RouteSyntaxError, Value

__all__ = ["BODY_PREFIX", "body_reader", "json_reader", "parse_body_path", "plain_value"]

BODY_PREFIX: Final = "$body."
"""In any case; the names that follow are case-sensitive."""

_MEMBER: Final = re.compile(r"(?![0-9]+(?:\[|$))([^\[\].]+)(?:\[([0-9]{1,9})\])?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?|/Date\(.*\)/", re.ASCII | re.DOTALL
)
_MAX_DATE_LENGTH: Final = 40
"""Characters; the edge hub's JSON reader looks no further for a date."""


def parse_body_path(path: str, position: int) -> tuple[str | int, ...]:
    """The steps of a path such as `unit.tags[0]`. Raises `RouteSyntaxError` for any other form."""
    steps: list[str | int] = []
    for member in path.split("."):
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] == "*":
            raise RouteSyntaxError(f"{BODY_PREFIX}{path} is no path: use names, '.name' and '.name[index]'", position)
        steps.append(match[1])
        if match[2] is not None:
            steps.append(int(match[2]))
    return tuple(steps)


def body_reader(path: tuple[str | int, ...]) -> Reader:
    """The closure that reads a path from the body of a message, as the edge hub does."""
    find = json_reader(path, lambda message: message.document)

    def read(message: RoutedMessage) -> Value:
        value = find(message)
        return value if value is MISSING or value is UNDEFINED else _leaf(value)

    return read


def json_reader(
    path: tuple[str | int, ...], document_of: Callable[[RoutedMessage], Any]
) -> Callable[[RoutedMessage], Any]:
    """The closure that finds a path in a JSON document: a JSON value, MISSING where the path leads nowhere, UNDEFINED
    where there is no document.
    """
    steps: list[tuple[type[Any], Any]] = [(dict if isinstance(step, str) else list, step) for step in path]

    def find(message: RoutedMessage) -> Any:
        value: Any = document_of(message)
        if value is None:
            return UNDEFINED
        for container, step in steps:
            if not isinstance(value, container):
                return MISSING
            try:
                value = value[step]
            except (KeyError, IndexError):
                return MISSING
        return value

    return find


def plain_value(value: Any) -> Value:
    """A JSON value as conditions compare it; UNDEFINED for objects and arrays, and for what is not there."""
    if value is None or isinstance(value, bool | str):
        return value
    return number_value(value) if isinstance(value, int | float) else UNDEFINED


def _leaf(value: Any) -> Value:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return number_value(value)
    return _text(value) if isinstance(value, str) else UNDEFINED


def number_value(value: int | float) -> Value:
    """A JSON number; infinite beyond the range of doubles, UNDEFINED for NaN."""
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return UNDEFINED if math.isnan(number) else number


def _text(value: str) -> Value:
    return UNDEFINED if _is_date(value) else value


def _is_date(text: str) -> bool:
    """True for what the edge hub's JSON reader turns into a date, which no condition can use."""
    match = _DATE.fullmatch(text) if len(text) <= _MAX_DATE_LENGTH else None
    if match is None or match[1] is None:
        return match is not None
    try:
        datetime.strptime(match[1], "%Y-%m-%d")
    except ValueError:
        return False
    hour, minute, second = int(match[2]), int(match[3]), int(match[4])
    return minute < 60 and second < 60 and (hour < 24 or (hour, minute, second) == (24, 0, 0))
