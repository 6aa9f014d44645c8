"""The hub's message routing: settings in a file of the data folder, the router made of them, and one carrier for each
custom endpoint.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import orjson

from iot_core.clock import Clock
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.eventhub import EventHub, HubMessage
from local_hub.eventhub.messages import encode_record
from local_hub.events import Event
from local_hub.home import write_json
from local_hub.routing.delivery import Delivery, queue_stream
from local_hub.routing.router import FindTwin, Router, routed_message
from local_hub.routing.settings import (
    BUILT_IN,
    SOURCES,
    Endpoint,
    RoutingSettings,
    RoutingSettingsError,
    WebhookEndpoint,
    parse_route_settings,
    parse_settings,
)
from local_hub.routing.sinks import FileSink, Sink, WebhookSink
from local_hub.rows import load_record
from transport.store import Appended, Store

__all__ = ["MessageRouting"]


class MessageRouting:
    """``start`` it before messages come. ``path`` is the settings' file, which need not be there."""

    def __init__(
        self, store: Store, clock: Clock, event_hub: EventHub, path: Path, *, hub_name: str, keep_s: float
    ) -> None:
        self.settings = RoutingSettings()
        self._store = store
        self._clock = clock
        self._event_hub = event_hub
        self._path = path
        self._hub_name = hub_name
        self._keep_s = keep_s
        self._router = Router(self.settings, hub_name)
        self._deliveries: dict[str, Delivery] = {}
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Read the settings; RoutingSettingsError, which names the file, when they cannot be used."""
        try:
            settings = parse_settings(json.loads(self._path.read_text()))
        except FileNotFoundError:
            settings = RoutingSettings()
        except (OSError, ValueError, RoutingSettingsError) as error:
            raise RoutingSettingsError(f"{self._path}: {error}") from error
        await self._use(settings)

    async def stop(self) -> None:
        """Deliver no more."""
        await asyncio.gather(*(delivery.stop() for delivery in self._deliveries.values()))
        self._deliveries = {}

    async def replace(self, document: object) -> None:
        """Use other settings from now on and keep them; RoutingSettingsError, and then nothing changes.

        What waits for an endpoint that is no longer there is dropped.
        """
        settings = parse_settings(document)
        async with self._changing:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_json(self._path, {"version": 1, **settings.document})
            await self._use(settings)

    def wants(self, source: str) -> bool:
        """Whether any message of the source might go anywhere."""
        return self._router.wants(source)

    @property
    def all_to_built_in(self) -> bool:
        """Whether all telemetry goes to the built-in endpoint as it is, and nowhere else."""
        return self._router.all_to_built_in

    def appended(self, message: HubMessage) -> list[Appended]:
        """What to append to the store for a message, by its routes; reads the twin on this thread where it is needed.

        Once that is on disk, call ``announce``.
        """
        return self._appended(message, self._twin_of(message.identity))

    def appended_events(self, connection: sqlite3.Connection, events: Iterable[Event]) -> list[Appended]:
        """The same for events of the hub itself, inside the transaction that they tell of."""
        return [
            appended
            for event in events
            if self.wants(event["source"])
            for message in (self._message(event),)
            for appended in self._appended(message, partial(_twin, connection, identity=message.identity))
        ]

    def announce(self, device_id: str) -> None:
        """Wake who waits for messages of the device; on the event loop, after the commit."""
        self._event_hub.announce(device_id)
        for delivery in self._deliveries.values():
            delivery.wake()

    def endpoints_of(self, message: HubMessage) -> list[str]:
        """The names of the endpoints that a message would go to."""
        return [endpoint for endpoint, _ in self._router.destinations(message, self._twin_of(message.identity))]

    def matches(self, route: object, message: HubMessage) -> bool:
        """Whether one route, which need not be one of the settings', takes a message; RoutingSettingsError."""
        parsed = parse_route_settings(route, self.settings)
        routed = routed_message(message, self._twin_of(message.identity))
        return SOURCES[parsed.source] == message.source and parsed.condition.accepts(routed)

    def endpoint_states(self) -> dict[str, JsonObject]:
        """How each custom endpoint fares: messages waiting, delivered, given up, failures, the last error."""
        return {
            name: {"waiting": delivery.waiting(), **delivery.state.document}
            for name, delivery in self._deliveries.items()
        }

    def _twin_of(self, identity: Identity) -> FindTwin:
        return lambda: self._store.read(partial(_twin, identity=identity))

    def _appended(self, message: HubMessage, find_twin: FindTwin) -> list[Appended]:
        return [
            self._event_hub.appended(each)
            if endpoint == BUILT_IN
            else Appended(stream=queue_stream(endpoint), records=(encode_record(each),), stamp=each.enqueued)
            for endpoint, each in self._router.destinations(message, find_twin)
        ]

    def _message(self, event: Event) -> HubMessage:
        return HubMessage(
            source=event["source"],
            identity=Identity(event["deviceId"], event.get("moduleId")),
            enqueued=self._event_hub.time(),
            body=orjson.dumps(event["body"]),
            properties=event["properties"],
            system=event["systemProperties"],
        )

    async def _use(self, settings: RoutingSettings) -> None:
        before, wanted = self.settings.endpoints, settings.endpoints
        changed = [self._deliveries.pop(endpoint.name) for endpoint in before if endpoint not in wanted]
        await asyncio.gather(*(delivery.stop() for delivery in changed))
        for endpoint in wanted:
            if endpoint.name not in self._deliveries:
                self._deliveries[endpoint.name] = self._delivery(endpoint)
        self.settings, self._router = settings, Router(settings, self._hub_name)
        names = {endpoint.name.lower() for endpoint in wanted}
        for delivery in changed:
            if delivery.endpoint.lower() not in names:
                await delivery.discard()

    def _delivery(self, endpoint: Endpoint) -> Delivery:
        sink: Sink
        if isinstance(endpoint, WebhookEndpoint):
            sink = WebhookSink(endpoint.url)
        else:
            sink = FileSink(self._path.parent / endpoint.path)
        delivery = Delivery(self._store, self._clock, endpoint.name, sink, self._keep_s)
        delivery.start()
        return delivery


def _twin(connection: sqlite3.Connection, identity: Identity) -> JsonObject | None:
    record = load_record(connection, identity)
    if record is None:
        return None
    return {
        "tags": record.tags,
        "properties": {"desired": record.desired.view(), "reported": record.reported.view()},
    }
