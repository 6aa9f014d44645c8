"""The hub's event stream: what happened, told to whoever listens now.

An event is a JSON object: ``time`` (ISO), ``source`` ("Telemetry", "twinChangeEvents", "digitalTwinChangeEvents",
"deviceLifecycleEvents", "deviceConnectionStateEvents", "directMethod" or "job"), ``deviceId``, ``moduleId`` for
modules, ``properties``, ``systemProperties`` and ``body`` (a JSON value, text, or ``{"base64": …}``). Sources and
bodies of the non-telemetry events: IoT Hub documentation, "React to IoT Hub events", "Non-telemetry event schemas".

Order: as published, which is the order of the commits. Loss: a subscriber that is ``QUEUE_LENGTH`` events behind
loses the oldest and is told so in their place by ``{"source": "lost", "count": n}``. Nothing is kept for who comes
later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from iot_core.json_types import JsonObject

__all__ = ["QUEUE_LENGTH", "Event", "EventStream"]

Event = JsonObject

# About a tenth of a second of the fastest telemetry this hub takes; 10,000 small events hold some 10 MB.
QUEUE_LENGTH = 10_000


class EventStream:
    """Publish and subscribe, all on the event loop."""

    def __init__(self) -> None:
        self._subscribers: set[_Subscriber] = set()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens; who builds costly events may ask first."""
        return bool(self._subscribers)

    def publish(self, event: Event) -> None:
        """Give the event to every subscriber; never waits."""
        for subscriber in self._subscribers:
            subscriber.put(event)

    def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on (from this call, not from the first ``anext``) until the iterator is closed."""
        subscriber = _Subscriber()
        self._subscribers.add(subscriber)
        return _Subscription(subscriber, self._subscribers)


class _Subscriber:
    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._lost = 0
        self._filled = asyncio.Event()

    def put(self, event: Event) -> None:
        if len(self._queue) >= QUEUE_LENGTH:
            self._queue.popleft()
            self._lost += 1
        self._queue.append(event)
        self._filled.set()

    async def get(self) -> Event:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            return {"source": "lost", "count": lost}
        return self._queue.popleft()


class _Subscription(AsyncIterator[Event]):
    def __init__(self, subscriber: _Subscriber, subscribers: set[_Subscriber]) -> None:
        self._subscriber = subscriber
        self._subscribers = subscribers

    async def __anext__(self) -> Event:
        return await self._subscriber.get()

    async def aclose(self) -> None:
        """Stop listening."""
        self._subscribers.discard(self._subscriber)

    def __del__(self) -> None:
        self._subscribers.discard(self._subscriber)
