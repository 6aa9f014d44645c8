"""What a definition can name in a message, written as in route conditions.

$body.machine.temperature   a value in the JSON body (`.name` and `.name[index]`)
$connectionDeviceId         a system property, by the name that routes on the edge use; case does not count
site                        an application property; case does not count
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import InputError
from iot_core.routing import RoutedMessage, edge_system_properties
from iot_core.routing.body import BODY_PREFIX, parse_body_path

__all__ = ["Reader", "Record", "number_reader_of_path", "reader_of_path"]

JSON_TYPE = {"contentType": "application/json", "contentEncoding": "utf-8"}
_SOURCE = "/messages"


@dataclass(slots=True)
class Record:
    """One JSON object of a message's body, the message's properties, and when it came (microseconds)."""

    document: Mapping[str, Any]
    properties: Mapping[str, str | None] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    arrival: int = 0
    _folded: dict[str, str | None] | None = field(default=None, init=False)
    _folded_system: dict[str, str] | None = field(default=None, init=False)
    _routed: RoutedMessage | None = field(default=None, init=False)

    @property
    def folded(self) -> dict[str, str | None]:
        """Application properties by lower-case name."""
        if self._folded is None:
            self._folded = {name.lower(): value for name, value in self.properties.items()}
        return self._folded

    @property
    def folded_system(self) -> dict[str, str]:
        """System properties by lower-case name, as routes on the edge name them."""
        if self._folded_system is None:
            named = edge_system_properties(self.system)
            self._folded_system = {name.lower(): value for name, value in named.items()}
        return self._folded_system

    @property
    def routed(self) -> RoutedMessage:
        """As conditions see it: the body counts as JSON whatever the sender said of it."""
        if self._routed is None:
            system = edge_system_properties(self.system) | JSON_TYPE
            self._routed = RoutedMessage(_SOURCE, self.properties, system, self.document)
        return self._routed


Reader = Callable[[Record], Any]
"""Gives a JSON value, None where there is none."""


def reader_of_path(path: str) -> Reader:
    """The closure that reads a path; InputError (RouteSyntaxError) for a body path that is none, or an empty name."""
    if path.lower().startswith(BODY_PREFIX):
        return _body_reader(parse_body_path(path[len(BODY_PREFIX) :], len(BODY_PREFIX)))
    if not path.strip("$"):
        raise InputError(f"{path!r} names nothing: use $body.path, $systemProperty or the name of a property")
    if path.startswith("$"):
        name = path[1:].lower()
        return lambda record: record.folded_system.get(name)
    lower = path.lower()
    return lambda record: record.folded.get(lower)


def number_reader_of_path(path: str) -> Reader:
    """As `reader_of_path`; the text of a property that is a finite number counts as one, since properties are texts."""
    read = reader_of_path(path)
    return read if path.lower().startswith(BODY_PREFIX) else lambda record: _as_number(read(record))


def _as_number(text: Any) -> Any:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return text
    return number if math.isfinite(number) else text


def _body_reader(steps: tuple[str | int, ...]) -> Reader:
    if len(steps) == 1:
        (only,) = steps
        return lambda record: record.document.get(only)  # type: ignore[arg-type]  # a path begins with a name

    typed: list[tuple[type[Any], Any]] = [(dict if isinstance(step, str) else list, step) for step in steps]

    def read(record: Record) -> Any:
        value: Any = record.document
        for container, step in typed:
            if not isinstance(value, container):
                return None
            try:
                value = value[step]
            except (KeyError, IndexError):
                return None
        return value

    return read
