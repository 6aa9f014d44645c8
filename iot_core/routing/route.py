"""Routes: which messages they take and where they send them.

Source of the rules: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge" (declare
routes), and Azure/iotedge, edge-hub, `EndpointFactory`, `BaseMessageSource`, `RouteFactory`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from iot_core.routing.compiler import compile_condition
from iot_core.routing.message import RoutedMessage
from iot_core.routing.parser import ParsedRoute, parse_condition, parse_route
from iot_core.routing.values import RouteSyntaxError, Truth

__all__ = ["ModuleInput", "Route", "Sink", "Upstream", "compile_route", "evaluate", "source_matches"]

_UPSTREAM: Final = "$upstream"
_BROKERED_ENDPOINT: Final = "brokeredendpoint"
_ALWAYS: Final = "true"


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """The sink `$upstream`: IoT Hub, or the parent gateway."""


@dataclass(frozen=True, kw_only=True)
class ModuleInput:
    """The sink `BrokeredEndpoint("/modules/<module>/inputs/<input>")`."""

    module: str
    input: str


Sink: TypeAlias = Upstream | ModuleInput


@dataclass(frozen=True, kw_only=True)
class Route:
    """A compiled route. `ignored_text` is what stands behind the sink and has no effect; it is worth a warning."""

    source: str
    condition: str
    sink: Sink
    ignored_text: str = ""
    _prefix: str = field(repr=False, compare=False)
    _truth: Callable[[RoutedMessage], Truth] | None = field(repr=False, compare=False)

    def accepts(self, message: RoutedMessage) -> bool:
        """True when the message comes from the route's source and the condition is true for it. Never raises."""
        if not message.folded_source.startswith(self._prefix):
            return False
        return self._truth is None or self._truth(message) is True


def compile_route(text: str) -> Route:
    """Parse and compile `[SELECT *] FROM <source> [WHERE <condition>] INTO <sink>`.

    Raises `RouteSyntaxError` (a `RouteError`) with the position in the text.
    """
    parsed = parse_route(text)
    return Route(
        source=parsed.source,
        condition=parsed.condition.text,
        sink=_sink(parsed),
        ignored_text=parsed.ignored_text,
        _prefix=_source_prefix(parsed.source),
        _truth=None if parsed.condition.text == _ALWAYS else compile_condition(parsed.condition.node),
    )


def evaluate(condition: str, message: RoutedMessage) -> Truth:
    """True, False or UNDEFINED: what a condition says of a message.

    Text after the first complete expression is ignored, as in the edge hub. Raises `RouteSyntaxError`.
    """
    return compile_condition(parse_condition(condition).node)(message)


def source_matches(route_source: str, message_source: str) -> bool:
    """True when a route's source covers a message's.

    Stars and slashes at its end are dropped, then it has to be a prefix of whole path items; case does not count. A
    star anywhere else stands for itself and so matches nothing.
    """
    return RoutedMessage(message_source).folded_source.startswith(_source_prefix(route_source))


def _source_prefix(route_source: str) -> str:
    return route_source.rstrip("*/").lower() + "/"


def _sink(parsed: ParsedRoute) -> Sink:
    if parsed.endpoint is None:
        if parsed.sink.lower() != _UPSTREAM:
            raise RouteSyntaxError(f"the sink {parsed.sink} is not supported: use $upstream", parsed.sink_position)
        return Upstream()
    if parsed.sink.lower() != _BROKERED_ENDPOINT:
        raise RouteSyntaxError(f"the sink {parsed.sink} is not supported: use BrokeredEndpoint", parsed.sink_position)
    return _module_input(parsed.endpoint, parsed.sink_position)


def _module_input(address: str, position: int) -> ModuleInput:
    """The second and fourth part of an address; the words "modules" and "inputs" are not checked."""
    parts = address.removeprefix("/").removesuffix("/").split("/")
    if len(parts) != 4 or not (parts[1] and parts[3]):
        raise RouteSyntaxError(f"'{address}' is no endpoint: use /modules/<module>/inputs/<input>", position)
    return ModuleInput(module=parts[1], input=parts[3])
