"""The desired properties of `$edgeHub`: routes and times to live, and what they mean for one message.

Rules: IoT Edge documentation, "Learn how to deploy modules and establish routes" and "Route priority and time-to-live".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iot_core.errors import ManifestError, RouteError
from iot_core.manifest.model import PRIORITY_DEFAULT, RouteSpec, parse_edge_hub
from iot_core.message import Message
from iot_core.routing import (
    ModuleInput,
    Route,
    RoutedMessage,
    compile_route,
    edge_system_properties,
    message_source,
)
from local_edge.edgehub.messages import Delivery
from local_edge.errors import DeploymentError

__all__ = ["DEFAULT_CONFIG", "UPSTREAM", "EdgeHubConfig", "NamedRoute", "deliveries", "input_endpoint", "parse_config"]

UPSTREAM = "$upstream"
"""Endpoints are `$upstream/<sender>`, one queue per sending module, and `<module>/<input>`."""


@dataclass(frozen=True, kw_only=True)
class NamedRoute:
    """A compiled route; `ttl_s` None stands for the hub's own time to live."""

    name: str
    route: Route
    priority: int = PRIORITY_DEFAULT
    ttl_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class EdgeHubConfig:
    """A desired section of `$edgeHub`; `ttl_s` None means that messages never expire."""

    routes: tuple[NamedRoute, ...] = ()
    ttl_s: float | None = None
    version: int = 0

    @property
    def inputs(self) -> frozenset[str]:
        """The endpoints of module inputs that any route names."""
        sinks = (named.route.sink for named in self.routes)
        return frozenset(input_endpoint(sink.module, sink.input) for sink in sinks if isinstance(sink, ModuleInput))


DEFAULT_CONFIG = EdgeHubConfig(
    routes=(NamedRoute(name="default", route=compile_route("FROM /* INTO $upstream")),),
)
"""What applies before the hub has given any: everything goes upstream and never expires."""


def parse_config(desired: Mapping[str, Any]) -> EdgeHubConfig:
    """The configuration in `desired`; DeploymentError (400) names the first thing wrong, the route's name included."""
    content = {key: value for key, value in desired.items() if not key.startswith("$")}
    try:
        parsed = parse_edge_hub(content)
    except ManifestError as error:
        raise DeploymentError(str(error)) from None
    return EdgeHubConfig(
        routes=tuple(_compiled(spec) for spec in parsed.routes.values()),
        ttl_s=None if parsed.store_ttl_s < 0 else float(parsed.store_ttl_s),
        version=int(desired.get("$version", 0)),
    )


def deliveries(config: EdgeHubConfig, sender: str, message: Message, *, source: str | None = None) -> list[Delivery]:
    """Where `message` of module `sender` goes: each endpoint once, by the most urgent route that chose it. Routes see
    it as coming from `source`; left out, that is the sender and its output."""
    routed = _routed(source or message_source(sender, message.system.get("outputName")), message)
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


def _routed(source: str, message: Message) -> RoutedMessage:
    return RoutedMessage(
        source=source,
        properties=message.properties,
        system_properties=edge_system_properties(message.system),
        body=message.body,
    )


def _compiled(spec: RouteSpec) -> NamedRoute:
    try:
        route = compile_route(spec.text)
    except RouteError as error:
        raise DeploymentError(f"route {spec.name}: {error}") from None
    return NamedRoute(name=spec.name, route=route, priority=spec.priority, ttl_s=spec.ttl_s)
