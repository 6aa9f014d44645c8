"""Conditions and keys of rules, in the language of routes, over one message.

An alarm must not go off for a value that is not there. The edge hub takes a missing field of the body for null, and
compares null with numbers; here a field that is missing or null makes a comparison undefined, and an undefined
condition neither raises nor clears. `is_defined` and `is_null` ask for such fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from iot_core.message import Message
from iot_core.routing import RoutedMessage, RouteSyntaxError, Truth, edge_system_properties, parse_condition
from iot_core.routing.body import BODY_PREFIX, json_reader, parse_body_path, plain_value
from iot_core.routing.compiler import Dialect, compile_condition
from iot_core.routing.hub import HUB
from iot_core.routing.values import UNDEFINED, Compiled, StaticType, Value

__all__ = ["Condition", "check_key", "compile_rule_condition", "key_of", "routed"]

Condition = Callable[[RoutedMessage], Truth]
KEY_SEPARATOR: Final = "/"
MAX_KEY_CHARS: Final = 256
"""Of one key; a series is named in the store and in events."""
JSON_SYSTEM: Final = {"contentType": "application/json", "contentEncoding": "utf-8"}


def _body(path: str, position: int) -> Compiled:
    find = json_reader(parse_body_path(path, position), lambda message: message.document)

    def read(message: RoutedMessage) -> Value:
        value = plain_value(find(message))
        return UNDEFINED if value is None else value

    return Compiled(type=StaticType.BODY, read=read, read_json=find)


RULES: Final = Dialect(paths={BODY_PREFIX: _body}, inspections=HUB.inspections)


@lru_cache(maxsize=1_000)  # every message asks; settings hold a few hundred
def compile_rule_condition(text: str) -> Condition:
    """The condition as a function of a message; RouteSyntaxError with the position in the text."""
    parsed = parse_condition(text)
    if parsed.node is None:
        raise RouteSyntaxError("the condition is empty: use true for all messages", 0)
    if parsed.ignored_text:
        position = len(text) - len(parsed.ignored_text)
        raise RouteSyntaxError(f"{parsed.ignored_text[:40]!r} cannot follow a condition", position)
    return compile_condition(parsed.node, RULES)


def check_key(text: str) -> str:
    """`text` if it names a property (`site`), a system property (`$connectionDeviceId`) or a path of the body
    (`$body.machine.id`); RouteSyntaxError."""
    _reader(text)
    return text


def key_of(paths: tuple[str, ...], message: RoutedMessage) -> str:
    """The series that a message belongs to: the values at `paths`; what is missing is empty, at the end left out."""
    return KEY_SEPARATOR.join(_reader(path)(message) for path in paths)[:MAX_KEY_CHARS].rstrip(KEY_SEPARATOR)


def routed(message: Message) -> RoutedMessage:
    """The message as conditions see it, system properties by the names of IoT Hub and of the edge hub alike. A body
    whose sender said nothing of its type is taken for JSON: the edge hub's twin changes come so."""
    system = {**message.system, **edge_system_properties(message.system)}
    if "contentType" not in system:
        system |= JSON_SYSTEM
    return RoutedMessage("", message.properties, system, message.body)


@lru_cache(maxsize=1_000)
def _reader(path: str) -> Callable[[RoutedMessage], str]:
    if path.lower().startswith(BODY_PREFIX):
        find = json_reader(parse_body_path(path[len(BODY_PREFIX) :], 0), lambda message: message.document)
        return lambda message: _text(find(message))
    if path.startswith("$"):
        return _named(path[1:].lower(), lambda message: message.folded_system)
    return _named(path.lower(), lambda message: message.folded_properties)


def _named(
    name: str, properties: Callable[[RoutedMessage], Mapping[str, str | None]]
) -> Callable[[RoutedMessage], str]:
    if not name:
        raise RouteSyntaxError("a key needs a name, such as site, $connectionDeviceId or $body.machine.id", 0)
    return lambda message: properties(message).get(name) or ""


def _text(value: Any) -> str:
    """Numbers as JSON prints them; what is no plain value is nothing to tell series apart by."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""
