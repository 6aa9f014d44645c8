"""How the core changes its data: a function on the writer thread, and once on disk, what the world hears of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from iot_core.clock import Clock
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.eventhub import EventHub
from local_hub.events import Event, EventStream
from local_hub.routing import MessageRouting
from local_hub.sessions import Sessions
from transport.store import Appended, Store

__all__ = ["Change", "Core", "Push"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Push:
    """A desired patch, ``$version`` in it, for a device that is connected when the commit is done."""

    identity: Identity
    patch: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Change(Generic[T]):
    """What a committed function gives: its result, and what follows from it."""

    result: T
    pushes: tuple[Push, ...] = ()
    events: tuple[Event, ...] = ()
    ended: tuple[Identity, ...] = ()
    """Identities that may no longer be connected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """What every part of the hub works with."""

    store: Store
    clock: Clock
    token_clock: Clock
    """What tells whether tokens and certificates are still valid: real time, unless it is moved too."""
    hub_name: str
    events: EventStream
    sessions: Sessions
    event_hub: EventHub
    routing: MessageRouting
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Called on the event loop after every commit; they must not raise."""

    def wants(self, source: str) -> bool:
        """Whether events of the source are of use to anybody; who builds costly events may ask first."""
        return self.events.wanted or self.routing.wants(source)

    async def commit(self, work: Callable[[sqlite3.Connection], Change[T]]) -> T:
        """Run ``work`` by ``store.write``, with its events for endpoints in the same transaction; once it is on disk
        push, publish and end sessions, in the order of the commits.

        That happens even when the caller is cancelled meanwhile. Raises what ``work`` raises, and StoreError.
        """
        return (await self.store.write(work, after=self._announce, appends=self._routed)).result

    def _routed(self, connection: sqlite3.Connection, change: Change[Any]) -> list[Appended]:
        return self.routing.appended_events(connection, change.events)

    def _announce(self, change: Change[Any]) -> None:
        for push in change.pushes:
            link = self.sessions.get(push.identity)
            if link is not None:
                link.push_desired(push.patch)
        for event in change.events:
            self.events.publish(event)
            if self.routing.wants(event["source"]):
                self.routing.announce(event["deviceId"])
        for identity in change.ended:
            self.sessions.end(identity, "the identity was deleted or disabled")
        for watcher in self.watchers:
            watcher()
