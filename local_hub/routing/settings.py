"""Routes, endpoints and enrichments as they are configured: JSON in the shape of `properties.routing` of a hub's
resource template (Azure Resource Manager, `Microsoft.Devices/IotHubs`), with two endpoint kinds of our own.

    {"endpoints": {"webhooks": [{"name": "hook", "url": "http://127.0.0.1:8080/in"}],
                   "files": [{"name": "log", "path": "routed.ndjson"}]},
     "routes": [{"name": "hot", "source": "DeviceMessages", "condition": "$body.t > 30",
                 "endpointNames": ["hook"], "isEnabled": true}],
     "fallbackRoute": {"isEnabled": true},
     "enrichments": [{"key": "site", "value": "$twin.tags.site", "endpointNames": ["events"]}]}

Every part may be left out; the fallback route is on by default. A file's path is relative to the hub's data folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias
from urllib.parse import urlsplit

from iot_core import limits
from iot_core.errors import RouteError, SettingsError
from iot_core.json_types import JsonObject
from iot_core.routing import HubCondition, compile_hub_condition
from local_hub.eventhub import TELEMETRY

__all__ = [
    "BUILT_IN",
    "SOURCES",
    "Endpoint",
    "EnrichmentSettings",
    "FileEndpoint",
    "RouteSettings",
    "RoutingSettings",
    "RoutingSettingsError",
    "WebhookEndpoint",
    "parse_route_settings",
    "parse_settings",
]

BUILT_IN: Final = "events"
"""The built-in endpoint's name in routes."""
SOURCES: Final = MappingProxyType(
    {
        "DeviceMessages": TELEMETRY,
        "TwinChangeEvents": "twinChangeEvents",
        "DeviceLifecycleEvents": "deviceLifecycleEvents",
        "DeviceConnectionStateEvents": "deviceConnectionStateEvents",
        "DigitalTwinChangeEvents": "digitalTwinChangeEvents",
    }
)
"""A route's source → the message source it takes."""
_REFUSED_SOURCES: Final = ("DeviceJobLifecycleEvents", "MqttBrokerMessages")
_REFUSED_ENDPOINTS: Final = (
    "eventHubs",
    "serviceBusQueues",
    "serviceBusTopics",
    "storageContainers",
    "cosmosDBSqlContainers",
)
_RESERVED_NAMES: Final = (BUILT_IN, "fileNotifications", "operationsMonitoringEvents", "$default", "$fallback")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,256}", re.ASCII)


class RoutingSettingsError(SettingsError):
    """Routes, endpoints or enrichments that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class RouteSettings:
    """A route; ``source`` is a key of SOURCES."""

    name: str
    source: str
    condition: HubCondition
    endpoints: tuple[str, ...]
    enabled: bool = True

    @property
    def document(self) -> JsonObject:
        return {
            "name": self.name,
            "source": self.source,
            "condition": self.condition.text,
            "endpointNames": list(self.endpoints),
            "isEnabled": self.enabled,
        }


@dataclass(frozen=True, kw_only=True)
class WebhookEndpoint:
    """Gets messages as JSON arrays by HTTP POST."""

    name: str
    url: str
    kind: ClassVar[str] = "webhooks"

    @property
    def document(self) -> JsonObject:
        return {"name": self.name, "url": self.url}


@dataclass(frozen=True, kw_only=True)
class FileEndpoint:
    """Gets messages as lines of JSON at the end of a file."""

    name: str
    path: str
    kind: ClassVar[str] = "files"

    @property
    def document(self) -> JsonObject:
        return {"name": self.name, "path": self.path}


Endpoint: TypeAlias = WebhookEndpoint | FileEndpoint


@dataclass(frozen=True, kw_only=True)
class EnrichmentSettings:
    """An application property that messages for those endpoints get."""

    key: str
    value: str
    endpoints: tuple[str, ...]

    @property
    def document(self) -> JsonObject:
        return {"key": self.key, "value": self.value, "endpointNames": list(self.endpoints)}


@dataclass(frozen=True, kw_only=True)
class RoutingSettings:
    """All of a hub's routing."""

    endpoints: tuple[Endpoint, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    fallback: RouteSettings = field(default_factory=lambda: _fallback({}))
    enrichments: tuple[EnrichmentSettings, ...] = ()

    @property
    def document(self) -> JsonObject:
        """What `parse_settings` makes the same settings of."""
        endpoints: JsonObject = {"webhooks": [], "files": []}
        for endpoint in self.endpoints:
            endpoints[endpoint.kind].append(endpoint.document)
        return {
            "endpoints": endpoints,
            "routes": [route.document for route in self.routes],
            "fallbackRoute": self.fallback.document,
            "enrichments": [enrichment.document for enrichment in self.enrichments],
        }


def parse_settings(document: object) -> RoutingSettings:
    """RoutingSettingsError, which names the part that is wrong."""
    parts = _object(document, "routing", ("endpoints", "routes", "fallbackRoute", "enrichments", "version"))
    if parts.get("version", 1) != 1:
        raise RoutingSettingsError(f"routing of version {parts['version']!r} is newer than this program's 1")
    endpoints = _endpoints(_object(parts.get("endpoints", {}), "endpoints", ("webhooks", "files", *_REFUSED_ENDPOINTS)))
    names = {name.lower(): name for name in (BUILT_IN, *(endpoint.name for endpoint in endpoints))}
    routes = tuple(_route(item, names) for item in _items(parts, "routes", limits.ROUTES_PER_HUB))
    _no_duplicates("route", (route.name for route in routes))
    items = _items(parts, "enrichments", limits.ENRICHMENTS_PER_HUB)
    return RoutingSettings(
        endpoints=endpoints,
        routes=routes,
        fallback=_fallback(parts.get("fallbackRoute", {})),
        enrichments=tuple(_enrichment(item, names) for item in items),
    )


def parse_route_settings(document: object, settings: RoutingSettings) -> RouteSettings:
    """One route on its own, with the endpoints of ``settings``; RoutingSettingsError."""
    names = (BUILT_IN, *(endpoint.name for endpoint in settings.endpoints))
    return _route(document, {name.lower(): name for name in names})


def _endpoints(parts: JsonObject) -> tuple[Endpoint, ...]:
    for kind in _REFUSED_ENDPOINTS:
        if parts.get(kind):
            raise RoutingSettingsError(f"endpoints.{kind} is not built in the local hub: use webhooks or files")
    found: list[Endpoint] = []
    for item in _items(parts, "webhooks", limits.CUSTOM_ENDPOINTS_PER_HUB):
        fields = _object(item, "a webhook", ("name", "url"))
        found.append(WebhookEndpoint(name=_endpoint_name(fields), url=_url(fields)))
    for item in _items(parts, "files", limits.CUSTOM_ENDPOINTS_PER_HUB):
        fields = _object(item, "a file endpoint", ("name", "path"))
        found.append(FileEndpoint(name=_endpoint_name(fields), path=_text(fields, "path", "a file endpoint")))
    if len(found) > limits.CUSTOM_ENDPOINTS_PER_HUB:
        raise RoutingSettingsError(f"a hub has at most {limits.CUSTOM_ENDPOINTS_PER_HUB} endpoints, not {len(found)}")
    _no_duplicates("endpoint", (endpoint.name for endpoint in found))
    return tuple(found)


def _route(item: object, names: dict[str, str]) -> RouteSettings:
    fields = _object(item, "a route", ("name", "source", "condition", "endpointNames", "isEnabled"))
    name = _name(fields, "a route")
    what = f"route {name}"
    return RouteSettings(
        name=name,
        source=_source(_text(fields, "source", what), what),
        condition=_condition(fields, what),
        endpoints=_endpoint_names(fields, names, what),
        enabled=_flag(fields, what),
    )


def _fallback(item: object) -> RouteSettings:
    fields = _object(item, "fallbackRoute", ("name", "source", "condition", "endpointNames", "isEnabled"))
    if fields.get("source", "DeviceMessages") != "DeviceMessages" or fields.get("endpointNames", [BUILT_IN]) != [
        BUILT_IN
    ]:
        raise RoutingSettingsError("fallbackRoute goes from DeviceMessages to the endpoint events, nowhere else")
    return RouteSettings(
        name="$fallback",
        source="DeviceMessages",
        condition=_condition(fields, "fallbackRoute"),
        endpoints=(BUILT_IN,),
        enabled=_flag(fields, "fallbackRoute"),
    )


def _enrichment(item: object, names: dict[str, str]) -> EnrichmentSettings:
    fields = _object(item, "an enrichment", ("key", "value", "endpointNames"))
    key = _text(fields, "key", "an enrichment")
    if not _KEY.fullmatch(key):
        raise RoutingSettingsError(f"{key[:60]!r} cannot be an enrichment's key: use letters, digits and '-_.'")
    what = f"enrichment {key}"
    return EnrichmentSettings(
        key=key, value=_text(fields, "value", what), endpoints=_endpoint_names(fields, names, what)
    )


def _source(text: str, what: str) -> str:
    for name in SOURCES:
        if text.lower() == name.lower():
            return name
    if text.lower() in (name.lower() for name in _REFUSED_SOURCES):
        raise RoutingSettingsError(f"{what}: the source {text} is not built in the local hub")
    raise RoutingSettingsError(f"{what}: there is no source {text[:60]!r}: use one of {', '.join(SOURCES)}")


def _condition(fields: JsonObject, what: str) -> HubCondition:
    text = fields.get("condition", "true")
    if not isinstance(text, str):
        raise RoutingSettingsError(f"{what}: condition must be a text")
    try:
        return compile_hub_condition(text)
    except RouteError as error:
        raise RoutingSettingsError(f"{what}: {error}") from error


def _endpoint_names(fields: JsonObject, names: dict[str, str], what: str) -> tuple[str, ...]:
    given = fields.get("endpointNames")
    if not isinstance(given, list) or not given or not all(isinstance(name, str) for name in given):
        raise RoutingSettingsError(f"{what}: endpointNames must be a list of one or more names")
    for name in given:
        if name.lower() not in names:
            raise RoutingSettingsError(f"{what}: there is no endpoint {name[:64]!r}, only {', '.join(names.values())}")
    return tuple(dict.fromkeys(names[name.lower()] for name in given))


def _endpoint_name(fields: JsonObject) -> str:
    name = _name(fields, "an endpoint")
    if name.lower() in (reserved.lower() for reserved in _RESERVED_NAMES):
        raise RoutingSettingsError(f"{name} is the hub's own: give the endpoint another name")
    return name


def _name(fields: JsonObject, what: str) -> str:
    name = _text(fields, "name", what)
    if not _NAME.fullmatch(name):
        raise RoutingSettingsError(f"{name[:80]!r} cannot name {what}: use 1 to 64 letters, digits and '._-'")
    return name


def _url(fields: JsonObject) -> str:
    url = _text(fields, "url", "a webhook")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise RoutingSettingsError(f"webhook {fields['name']}: its url must be http://… or https://…")
    return url


def _flag(fields: JsonObject, what: str) -> bool:
    flag = fields.get("isEnabled", True)
    if not isinstance(flag, bool):
        raise RoutingSettingsError(f"{what}: isEnabled must be true or false")
    return flag


def _text(fields: JsonObject, name: str, what: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise RoutingSettingsError(f"{what} needs a {name}, a text that is not empty")
    return value


def _object(value: object, what: str, known: Iterable[str]) -> JsonObject:
    if not isinstance(value, dict):
        raise RoutingSettingsError(f"{what} must be a JSON object")
    if unknown := value.keys() - set(known):
        raise RoutingSettingsError(f"{min(unknown)[:60]!r} is no part of {what}: use {', '.join(known)}")
    return value


def _items(parts: JsonObject, name: str, most: int) -> list[Any]:
    items = parts.get(name, [])
    if not isinstance(items, list):
        raise RoutingSettingsError(f"{name} must be a list")
    if len(items) > most:
        raise RoutingSettingsError(f"there may be at most {most} {name}, not {len(items)}")
    return items


def _no_duplicates(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise RoutingSettingsError(f"there is more than one {what} {name}")
        seen.add(name.lower())
