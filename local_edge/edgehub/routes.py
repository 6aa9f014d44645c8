"""The desired properties of `$edgeHub`: routes and times to live, and what they mean for one message.

Rules: IoT Edge documentation, "Learn how to deploy modules and establish routes" and "Route priority and time-to-live".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iot_core.errors import RouteError
from iot_core.message import Message
from iot_core.routing import ModuleInput, Route, RoutedMessage, compile_route
from local_edge.edgehub.messages import Delivery
from local_edge.errors import DeploymentError

__all__ = ["DEFAULT_CONFIG", "UPSTREAM", "EdgeHubConfig", "NamedRoute", "deliveries", "input_endpoint", "parse_config"]

UPSTREAM = "$upstream"
"""Endpoints are `$upstream/<sender>`, one queue per sending module, and `<module>/<input>`."""

DEFAULT_PRIORITY = 2_000_000_000
"""A route without a priority comes after every numbered one (0 … 9)."""

_ROUTE_NAME = re.compile(r"[^.$# ]+")
_SCHEMA = re.compile(r"1\.[0-3](\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class NamedRoute:
    """A compiled route; `ttl_s` None stands for the hub's own time to live."""

    name: str
    route: Route
    priority: int = DEFAULT_PRIORITY
    ttl_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class EdgeHubConfig:
    """A desired section of `$edgeHub`; `ttl_s` None means that messages never expire."""

    routes: tuple[NamedRoute, ...] = ()
    ttl_s: float | None = None
    version: int = 0
    inputs: frozenset[str] = field(default=frozenset())

    def with_inputs(self) -> EdgeHubConfig:
        endpoints = (_endpoint_of(route.route, sender="") for route in self.routes)
        found = frozenset(endpoint for endpoint in endpoints if not endpoint.startswith(UPSTREAM))
        return EdgeHubConfig(routes=self.routes, ttl_s=self.ttl_s, version=self.version, inputs=found)


DEFAULT_CONFIG = EdgeHubConfig(
    routes=(NamedRoute(name="default", route=compile_route("FROM /* INTO $upstream")),),
)
"""What applies before the hub has given any: everything goes upstream and never expires."""


def parse_config(desired: Mapping[str, Any]) -> EdgeHubConfig:
    """The configuration in `desired`; DeploymentError (400) names the first thing wrong, the route's name included."""
    schema = desired.get("schemaVersion")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise DeploymentError(f"$edgeHub schemaVersion {schema!r} is not supported; use 1.0 to 1.3")
    routes = desired.get("routes")
    if not isinstance(routes, dict):
        raise DeploymentError("$edgeHub routes are missing or not an object")
    named = [_named_route(name, entry, schema) for name, entry in sorted(routes.items()) if not _skipped(entry, schema)]
    return EdgeHubConfig(
        routes=tuple(named), ttl_s=_global_ttl(desired), version=int(desired.get("$version", 0))
    ).with_inputs()


def deliveries(config: EdgeHubConfig, sender: str, message: Message) -> list[Delivery]:
    """Where `message` of module `sender` goes: each endpoint once, by the most urgent route that chose it."""
    routed = _routed(sender, message)
    chosen: dict[str, Delivery] = {}
    for named in config.routes:
        if not named.route.accepts(routed):
            continue
        endpoint = _endpoint_of(named.route, sender)
        if endpoint not in chosen or named.priority < chosen[endpoint].priority:
            ttl_s = named.ttl_s if named.ttl_s is not None else config.ttl_s
            chosen[endpoint] = Delivery(endpoint=endpoint, priority=named.priority, ttl_s=ttl_s)
    return list(chosen.values())


def input_endpoint(module: str, name: str) -> str:
    """The endpoint of one input of a module."""
    return f"{module}/{name}"


def _endpoint_of(route: Route, sender: str) -> str:
    if isinstance(route.sink, ModuleInput):
        return input_endpoint(route.sink.module, route.sink.input)
    return f"{UPSTREAM}/{sender}"


def _routed(sender: str, message: Message) -> RoutedMessage:
    output = message.system.get("outputName")
    source = f"/messages/modules/{sender}" + (f"/outputs/{output}" if output else "")
    return RoutedMessage(
        source=source, properties=message.properties, system_properties=message.system, body=message.body
    )


def _skipped(entry: object, schema: str) -> bool:
    return isinstance(entry, str) and not entry.strip() and schema.startswith("1.0")


def _named_route(name: str, entry: object, schema: str) -> NamedRoute:
    if not _ROUTE_NAME.fullmatch(name):
        raise DeploymentError(f"route name {name!r} is refused: no dots, $, # or spaces")
    if isinstance(entry, str):
        return NamedRoute(name=name, route=_compiled(name, entry))
    if not isinstance(entry, dict) or schema.startswith("1.0"):
        raise DeploymentError(f"route {name} must be a text" + (" in schema 1.0" if isinstance(entry, dict) else ""))
    return NamedRoute(
        name=name,
        route=_compiled(name, entry.get("route")),
        priority=_number(entry, "priority", 9, f"route {name}", DEFAULT_PRIORITY),
        ttl_s=_number(entry, "timeToLiveSecs", 4_294_967_295, f"route {name}", 0) or None,
    )


def _compiled(name: str, text: object) -> Route:
    if not isinstance(text, str):
        raise DeploymentError(f"route {name} has no text")
    try:
        return compile_route(text)
    except RouteError as error:
        raise DeploymentError(f"route {name}: {error}") from None


def _global_ttl(desired: Mapping[str, Any]) -> float | None:
    block = desired.get("storeAndForwardConfiguration")
    if block is None and str(desired.get("schemaVersion")).startswith("1.0"):
        return None
    if not isinstance(block, dict):
        raise DeploymentError("$edgeHub storeAndForwardConfiguration is missing or not an object")
    ttl = block.get("timeToLiveSecs", 7200)
    if isinstance(ttl, bool) or not isinstance(ttl, int):
        raise DeploymentError("storeAndForwardConfiguration.timeToLiveSecs must be a whole number")
    return None if ttl < 0 else float(ttl)


def _number(entry: Mapping[str, Any], key: str, highest: int, where: str, default: int) -> int:
    value = entry.get(key, default)
    if key not in entry:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise DeploymentError(f"{where}: {key} is {value!r}; a whole number from 0 to {highest} is needed")
    return value
