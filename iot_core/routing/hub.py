"""Conditions of IoT Hub's message routing: the edge hub's grammar, and what IoT Hub's documentation says differently.

- The whole text counts: nothing may follow the condition.
- `$twin.tags.x` and `$twin.properties.desired.x` read the twin of the sender, `$body.x` the body.
- A path that leads nowhere is undefined, and a condition that is undefined or null does not route.
- Text is text, whether or not it looks like a date; objects and arrays can be asked what they are.

Source of the rules: IoT Hub documentation, "IoT Hub message routing query syntax".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iot_core.routing.ast import Node, SystemProperty
from iot_core.routing.body import BODY_PREFIX, json_reader, parse_body_path, plain_value
from iot_core.routing.compiler import Dialect, compile_condition
from iot_core.routing.functions import Inspection
from iot_core.routing.message import RoutedMessage
from iot_core.routing.parser import parse_condition
from iot_core.routing.values import MISSING, UNDEFINED, Compiled, Reader, RouteSyntaxError, StaticType, Truth

__all__ = ["HubCondition", "compile_hub_condition", "hub_system_properties"]

TWIN_PREFIX: Final = "$twin."
_TWIN_ROOTS: Final = ("tags", "properties")
_ALWAYS: Final = "true"

_SYSTEM_NAMES: Final = {
    "subject": "dt-subject",
    "dataSchema": "dt-dataschema",
    "interfaceId": "iothub-interface-id",
    "creationTimeUtc": "iothub-creation-time-utc",
    "messageSchema": "iothub-message-schema",
}
"""System properties that IoT Hub's conditions know by another name than `iot_core.message` does."""


@dataclass(frozen=True, kw_only=True)
class HubCondition:
    """A compiled condition; `reads_twin` says whether it asks for the sender's twin."""

    text: str
    reads_twin: bool
    _truth: Callable[[RoutedMessage], Truth] = field(repr=False, compare=False)

    def accepts(self, message: RoutedMessage) -> bool:
        """True when the condition is true for the message; false and undefined are not. Never raises."""
        return self._truth(message) is True


def compile_hub_condition(text: str) -> HubCondition:
    """Raises `RouteSyntaxError` (a `RouteError`) with the position in the text; an empty condition is one too."""
    parsed = parse_condition(text)
    if parsed.node is None:
        raise RouteSyntaxError("the condition is empty: use true for all messages", 0)
    if parsed.ignored_text:
        position = len(text) - len(parsed.ignored_text)
        raise RouteSyntaxError(f"{parsed.ignored_text[:40]!r} cannot follow a condition", position)
    truth = compile_condition(parsed.node, HUB)
    return HubCondition(text=parsed.text, reads_twin=_reads_twin(parsed.node), _truth=truth)


def hub_system_properties(system: Mapping[str, str]) -> dict[str, str]:
    """System properties of an `iot_core.message.Message` under the names that conditions use (`$dt-subject` …)."""
    return {_SYSTEM_NAMES.get(name, name): value for name, value in system.items()}


def _reads_twin(node: Node) -> bool:
    if isinstance(node, SystemProperty) and node.name.lower().startswith(TWIN_PREFIX):
        return True
    return any(map(_reads_twin, node.children))


def _body(path: str, position: int) -> Compiled:
    return _json_value(json_reader(parse_body_path(path, position), lambda message: message.document))


def _twin(path: str, position: int) -> Compiled:
    steps = parse_body_path(path, position)
    if steps[0] not in _TWIN_ROOTS:
        raise RouteSyntaxError(f"{TWIN_PREFIX}{path} is not of the twin: use $twin.tags or $twin.properties", position)
    return _json_value(json_reader(steps, lambda message: message.twin))


def _json_value(find: Callable[[RoutedMessage], Any]) -> Compiled:
    return Compiled(type=StaticType.BODY, read=lambda message: plain_value(find(message)), read_json=find)


def _asking(test: Callable[[Any], bool]) -> Inspection:
    """An inspection of a JSON value, or of what other expressions give; false for what is not there."""

    def inspection(argument: Compiled) -> Reader:
        read = argument.read_json or argument.read

        def answer(message: RoutedMessage) -> bool:
            value = read(message)
            return value is not UNDEFINED and value is not MISSING and test(value)

        return answer

    return inspection


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


HUB: Final = Dialect(
    paths={BODY_PREFIX: _body, TWIN_PREFIX: _twin},
    inspections={
        "is_defined": _asking(lambda value: True),
        "is_null": _asking(lambda value: value is None),
        "is_bool": _asking(lambda value: isinstance(value, bool)),
        "is_number": _asking(_is_number),
        "is_string": _asking(lambda value: isinstance(value, str)),
        "is_array": _asking(lambda value: isinstance(value, list)),
        "is_object": _asking(lambda value: isinstance(value, dict)),
        "is_primitive": _asking(lambda value: not isinstance(value, list | dict)),
    },
)
