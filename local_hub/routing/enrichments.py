"""Application properties that messages get on their way to an endpoint (IoT Hub documentation, "Message enrichments").

A value is a text of its own, ``$iothubname``, or ``$twin.PATH`` of the sender's tags or properties. A path that leads
nowhere is stamped as the text it is, as the service does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

import orjson

from iot_core.errors import RouteError
from iot_core.limits import DEVICE_TO_CLOUD_BYTES
from iot_core.routing.body import json_reader, parse_body_path
from iot_core.routing.message import RoutedMessage
from local_hub.eventhub import HubMessage
from local_hub.routing.settings import EnrichmentSettings

__all__ = ["Enrichments"]

_HUB_NAME: Final = "$iothubname"
_TWIN_PREFIX: Final = "$twin."

_Stamp: TypeAlias = Callable[[RoutedMessage], str]


class Enrichments:
    """The enrichments of one endpoint; of two with one key the later counts."""

    def __init__(self, settings: Mapping[str, EnrichmentSettings], hub_name: str) -> None:
        self._stamps = {key: _stamp(enrichment.value, hub_name) for key, enrichment in settings.items()}

    def apply(self, message: HubMessage, routed: RoutedMessage) -> HubMessage | None:
        """The message with its new properties; None when it has become too large to be delivered."""
        added = {key: stamp(routed) for key, stamp in self._stamps.items()}
        enriched = replace(message, properties={**message.properties, **added})
        return enriched if enriched.message.size <= DEVICE_TO_CLOUD_BYTES else None


def _stamp(value: str, hub_name: str) -> _Stamp:
    if value.lower() == _HUB_NAME:
        return lambda routed: hub_name
    if not value.lower().startswith(_TWIN_PREFIX):
        return lambda routed: value
    try:
        steps = parse_body_path(value[len(_TWIN_PREFIX) :], 0)
    except RouteError:
        return lambda routed: value
    find = json_reader(steps, lambda routed: routed.twin)
    return lambda routed: _as_text(find(routed), value)


def _as_text(found: Any, literal: str) -> str:
    """Text as it is, numbers, booleans, objects and arrays as JSON."""
    if isinstance(found, str):
        return found
    return orjson.dumps(found).decode() if isinstance(found, bool | int | float | dict | list) else literal
