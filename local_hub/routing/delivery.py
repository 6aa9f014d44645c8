"""Carries the messages of one custom endpoint from its queue to its sink.

    waiting  --messages in the queue-->  sending  --taken-->  the cursor moves on, durably; waiting
                                         sending  --failed--> backing off, twice as long each time --> sending

The queue is a stream of the store, the cursor a row: a message is delivered at least once, in order, also over a
restart of the hub. What waits longer than events are kept is given up and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

from iot_core.clock import Clock
from iot_core.errors import StoreError
from iot_core.json_types import JsonObject
from local_hub.eventhub.messages import HubMessage, decode_record
from local_hub.eventhub.retention import SEGMENTS_AT_ONCE
from local_hub.routing.documents import routed_document
from local_hub.routing.sinks import DeliveryError, Sink
from local_hub.timing import until
from transport import store_streams
from transport.store import Store

__all__ = ["Delivery", "DeliveryState", "queue_stream"]

BATCH_MESSAGES = 100
"""In one hand-over; with 256 KiB each the largest takes some 35 MB."""
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 60.0

_log = logging.getLogger(__name__)


def queue_stream(endpoint: str) -> str:
    """The stream of the store that holds an endpoint's queue."""
    return f"endpoint/{endpoint.lower()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryState:
    """How an endpoint fares since the hub started; ``failures`` counts those in a row."""

    delivered: int = 0
    given_up: int = 0
    failures: int = 0
    last_error: str | None = None

    @property
    def document(self) -> JsonObject:
        return {
            "delivered": self.delivered,
            "givenUp": self.given_up,
            "failures": self.failures,
            "lastError": self.last_error,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Messages of the queue, and the number of the record behind them."""

    messages: tuple[HubMessage, ...] = field(repr=False)
    end: int


class Delivery:
    """One endpoint's carrier; ``start`` it, ``wake`` it when its queue has grown."""

    def __init__(self, store: Store, clock: Clock, endpoint: str, sink: Sink, keep_s: float) -> None:
        self.endpoint = endpoint
        self.state = DeliveryState()
        self._store = store
        self._clock = clock
        self._stream = queue_stream(endpoint)
        self._sink = sink
        self._keep_s = keep_s
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver what waits."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Deliver no more; what was on its way may come again later."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._sink.close()

    def wake(self) -> None:
        """Look at the queue."""
        self._grown.set()

    async def discard(self) -> None:
        """Drop what waits, once stopped; StoreError."""
        end = await self._store.aread(partial(store_streams.end_of, stream=self._stream))
        await self._advance_to(end)

    def waiting(self) -> int:
        """Messages in the queue; StoreError."""
        return self._store.read(
            lambda connection: store_streams.end_of(connection, self._stream) - self._cursor(connection)
        )

    async def _run(self) -> None:
        while True:
            self._grown.clear()
            try:
                while batch := await self._store.aread(self._next):
                    await self._carry(batch)
            except StoreError:
                _log.exception("endpoint %s: its queue cannot be read", self.endpoint)
            await self._grown.wait()

    async def _carry(self, batch: _Batch) -> None:
        back_off = FIRST_BACK_OFF_S
        while not await self._delivered(batch):
            await until(self._clock, self._clock.monotonic() + back_off)
            back_off = min(2 * back_off, LONGEST_BACK_OFF_S)
        await self._advance_to(batch.end)

    async def _advance_to(self, end: int) -> None:
        while await self._store.write(partial(self._advance, end=end)) == SEGMENTS_AT_ONCE:
            pass

    async def _delivered(self, batch: _Batch) -> bool:
        """Whether the batch is dealt with."""
        oldest = self._clock.now() - self._keep_s
        messages = [message for message in batch.messages if message.enqueued >= oldest]
        given_up = len(batch.messages) - len(messages)
        try:
            if messages:
                await self._sink.deliver([routed_document(message) for message in messages])
        except DeliveryError as error:
            if not self.state.failures:
                _log.warning("endpoint %s: %s; trying again", self.endpoint, error)
            self.state = replace(self.state, failures=self.state.failures + 1, last_error=str(error))
            return False
        if given_up:
            _log.warning("endpoint %s: %d messages waited too long and were given up", self.endpoint, given_up)
        state = self.state
        self.state = replace(
            state, delivered=state.delivered + len(messages), given_up=state.given_up + given_up, failures=0
        )
        return True

    def _next(self, connection: sqlite3.Connection) -> _Batch | None:
        messages: list[HubMessage] = []
        end = self._cursor(connection)
        while len(messages) < BATCH_MESSAGES:
            segment = store_streams.segment_at(connection, self._stream, end)
            if segment is None:
                break
            start = max(end, segment.first)
            taken = islice(segment.records_from(start), BATCH_MESSAGES - len(messages))
            before = len(messages)
            messages += map(decode_record, taken)
            end = start + len(messages) - before
        return _Batch(messages=tuple(messages), end=end) if messages else None

    def _cursor(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT next FROM endpoint_cursors WHERE endpoint = ?", (self._stream,)).fetchone()
        return int(row[0]) if row else 0

    def _advance(self, connection: sqlite3.Connection, end: int) -> int:
        """Move the cursor and drop what lies before it; the number of segments dropped."""
        connection.execute(
            "INSERT OR REPLACE INTO endpoint_cursors (endpoint, next) VALUES (?, ?)", (self._stream, end)
        )
        return store_streams.drop_before(connection, self._stream, end, limit=SEGMENTS_AT_ONCE)
