"""Decides where messages go; no I/O. Made anew when the settings change, and used from several threads.

A message goes once to every endpoint that a route it matches names. Telemetry that no route matches takes the fallback
route, while that is on; other sources have none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from iot_core.routing import HubCondition, RoutedMessage, hub_system_properties
from local_hub.eventhub import TELEMETRY, HubMessage
from local_hub.routing.enrichments import Enrichments
from local_hub.routing.settings import BUILT_IN, SOURCES, RouteSettings, RoutingSettings

__all__ = ["FindTwin", "Router", "routed_message"]

FindTwin: TypeAlias = Callable[[], Mapping[str, Any] | None]
"""The sender's twin: ``tags`` and ``properties`` with ``desired`` and ``reported``; None when it is gone."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Route:
    endpoints: tuple[str, ...]
    condition: HubCondition | None
    """None takes every message."""


class Router:
    """The routes of one set of settings, compiled."""

    def __init__(self, settings: RoutingSettings, hub_name: str) -> None:
        self._routes = {
            source: [_compiled(route) for route in settings.routes if route.enabled and SOURCES[route.source] == source]
            for source in SOURCES.values()
        }
        self._fallback = _compiled(settings.fallback) if settings.fallback.enabled else None
        self._enrichments = {
            name: Enrichments({each.key: each for each in settings.enrichments if name in each.endpoints}, hub_name)
            for name in {name for enrichment in settings.enrichments for name in enrichment.endpoints}
        }
        self.all_to_built_in = (
            not self._routes[TELEMETRY]
            and self._fallback is not None
            and self._fallback.condition is None
            and BUILT_IN not in self._enrichments
        )

    def wants(self, source: str) -> bool:
        """Whether any message of the source might go anywhere."""
        return bool(self._routes.get(source)) or (source == TELEMETRY and self._fallback is not None)

    def destinations(self, message: HubMessage, find_twin: FindTwin) -> list[tuple[str, HubMessage]]:
        """The endpoints that the message goes to, each with the message as it gets it, enriched.

        ``find_twin`` is asked at most once, and only when a route or an enrichment needs the twin.
        """
        if self.all_to_built_in and message.source == TELEMETRY:
            return [(BUILT_IN, message)]
        routed = routed_message(message, find_twin)
        found = [(name, self._enriched(name, message, routed)) for name in self._endpoints(message.source, routed)]
        return [(name, each) for name, each in found if each is not None]

    def _endpoints(self, source: str, routed: RoutedMessage) -> dict[str, None]:
        names = {
            name: None
            for route in self._routes.get(source, ())
            if route.condition is None or route.condition.accepts(routed)
            for name in route.endpoints
        }
        fallback = self._fallback
        if names or source != TELEMETRY or fallback is None:
            return names
        taken = fallback.condition is None or fallback.condition.accepts(routed)
        return dict.fromkeys(fallback.endpoints) if taken else {}

    def _enriched(self, endpoint: str, message: HubMessage, routed: RoutedMessage) -> HubMessage | None:
        enrichments = self._enrichments.get(endpoint)
        if enrichments is None:
            return message
        enriched = enrichments.apply(message, routed)
        if enriched is None:
            _log.warning(
                "%s: a message is too large with its enrichments, and not sent to %s", message.identity, endpoint
            )
        return enriched


def routed_message(message: HubMessage, find_twin: FindTwin) -> RoutedMessage:
    """A message as conditions see it."""
    whole = message.message
    return RoutedMessage(
        source=message.source,
        properties=whole.properties,
        system_properties=hub_system_properties(whole.system),
        body=whole.body,
        find_twin=find_twin,
    )


def _compiled(route: RouteSettings) -> _Route:
    takes_all = route.condition.text == "true"
    return _Route(endpoints=route.endpoints, condition=None if takes_all else route.condition)
