"""Reading a partition from a place on, in order and without gaps, waiting for what is to come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice

from local_hub.eventhub.partitions import EventData, Partition
from transport.store import Store

__all__ = ["EventReader"]


class EventReader:
    """Made by `EventHub.open`; one reader belongs to one task.

    Guarantees: every event from the start on is given once, in the order of sequence numbers, unless it had expired
    before the reader came to it; an event is on disk when it is given. Holds one segment of the store at most.
    """

    def __init__(self, store: Store, partition: Partition, first: int, changed: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._partition = partition
        self._changed = changed
        self._next_segment = first
        self._events: Iterator[EventData] = iter(())

    async def read(self, most: int) -> list[EventData]:
        """At least one event and at most ``most`` (1 or more): those there are, else as soon as there is one.

        Nothing is lost when the call is cancelled. StoreError.
        """
        while not (events := self.read_now(most)):
            await self._changed()
        return events

    def read_now(self, most: int) -> list[EventData]:
        """The next events, at most ``most``; none when the reader is at the end."""
        events = list(islice(self._events, most))
        while len(events) < most and self._load():
            events += islice(self._events, most - len(events))
        return events

    def _load(self) -> bool:
        """Go on to the next segment; False at the end."""
        found = self._store.read(partial(self._partition.events, first=self._next_segment))
        if found is not None:
            self._next_segment, self._events = found
        return found is not None
