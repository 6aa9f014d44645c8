"""A message as the routes of an edge hub see it.

Source of the rules: Azure/iotedge, edge-hub, `RoutingMessageConverter`, `Message` and `JsonMessageQueryValueProvider`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar

import orjson

__all__ = ["EDGE_SYSTEM_NAMES", "TWIN_CHANGE_SOURCE", "RoutedMessage", "edge_system_properties", "message_source"]

TWIN_CHANGE_SOURCE: Final = "/twinChangeNotifications"

BODY_CONTENT_TYPE: Final = "application/json"
BODY_ENCODINGS: Final = {"utf-8": "utf-8", "utf-16": "utf-16", "utf-32": "utf-32"}

EDGE_SYSTEM_NAMES: Final = {
    "expiry": "absolute-expiry-time",
    "creationTimeUtc": "creationTime",
    "interfaceId": "iothub-interface-id",
    "subject": "dt-subject",
}
"""System properties that routes on the edge know by another name than `iot_core.message` does."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def message_source(module_id: str | None = None, output: str | None = None) -> str:
    """The source of a telemetry message: `/messages` of a device, else the module's path and its output, if any."""
    if module_id is None:
        return "/messages"
    return f"/messages/modules/{module_id}" + (f"/outputs/{output}" if output else "")


def edge_system_properties(system: Mapping[str, str]) -> dict[str, str]:
    """System properties of an `iot_core.message.Message` under the names that conditions use (`$creationTime` …)."""
    return {EDGE_SYSTEM_NAMES.get(name, name): value for name, value in system.items()}


_T = TypeVar("_T")


class _Lazy(Generic[_T]):
    """An attribute computed when first read. `functools.cached_property` takes a lock for it before Python 3.12."""

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, message: Any, owner: type[Any]) -> _T:
        value = message.__dict__[self._name] = self._compute(message)
        return value


@dataclass(frozen=True)
class RoutedMessage:
    """What a route can ask about a message.

    `properties` may hold None for a property that came without a value. `body` is the payload as bytes; text and
    parsed JSON objects are taken too, as already decoded. Nothing in it may change once a route has looked at it,
    because the parsed body and the case-folded names are kept for the next route. `find_twin` is asked for the twin,
    once, when a route of IoT Hub first asks for it.
    """

    source: str
    properties: Mapping[str, str | None] = field(default_factory=dict)
    system_properties: Mapping[str, str] = field(default_factory=dict)
    body: Any = b""
    find_twin: Callable[[], Mapping[str, Any] | None] = field(default=lambda: None, repr=False, compare=False)

    @classmethod
    def from_dict(cls, message: Mapping[str, Any]) -> Self:
        """From `{"source", "properties", "system_properties", "body"}`; all but the source may be left out."""
        return cls(
            source=message["source"],
            properties=message.get("properties") or {},
            system_properties=message.get("system_properties") or {},
            body=message.get("body", b""),
        )

    @_Lazy
    def folded_source(self) -> str:
        """The source as routes compare it: lower case, with one slash at its end."""
        return self.source.lower() + "/"

    @_Lazy
    def folded_properties(self) -> dict[str, str | None]:
        """Application properties by lower-case name."""
        return {name.lower(): value for name, value in self.properties.items()}

    @_Lazy
    def folded_system(self) -> dict[str, str]:
        """System properties by lower-case name."""
        return {name.lower(): value for name, value in self.system_properties.items()}

    @_Lazy
    def twin(self) -> Mapping[str, Any] | None:
        """The twin of the device or module that sent the message, None when it is gone."""
        return self.find_twin()

    @_Lazy
    def document(self) -> dict[str, Any] | None:
        """The body as a JSON object, or None where `$body` is undefined.

        It needs contentType application/json with no parameter, contentEncoding utf-8, utf-16 or utf-32, and a body
        that is a JSON object (IoT Hub routing query syntax, "Message routing query based on message body").
        """
        encoding = BODY_ENCODINGS.get((self.folded_system.get("contentencoding") or "").lower())
        if encoding is None or (self.folded_system.get("contenttype") or "").lower() != BODY_CONTENT_TYPE:
            return None
        parsed = _parse(self.body, encoding)
        return parsed if isinstance(parsed, dict) else None


def _parse(body: Any, encoding: str) -> Any:
    if isinstance(body, bytes | bytearray | memoryview):
        return _parse_bytes(bytes(body), encoding)
    return _loads(body) if isinstance(body, str) else body


def _parse_bytes(body: bytes, encoding: str) -> Any:
    if encoding == "utf-8":
        parsed = _loads(body)
        if parsed is not None:
            return parsed
    return _loads(body.decode(encoding, "replace"))


def _loads(text: bytes | str) -> Any:
    if isinstance(text, str):
        text = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _loads_leniently(text)


def _loads_leniently(text: bytes | str) -> Any:
    """For NaN, infinities and integers of any size, which the edge hub's JSON reader takes too."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
