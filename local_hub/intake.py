"""Telemetry on its way to disk: what comes in one turn of the event loop goes to the store in one piece.

A message by itself costs a queue, a lock and a wake-up; a turn's worth of messages shares them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from iot_core.errors import StoreError
from local_hub.changes import Core
from local_hub.eventhub import HubMessage
from local_hub.eventhub.messages import encode_record
from transport.store import Appended

__all__ = ["Done", "Intake"]

Done: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop once a message is on disk, or with the StoreError for which it is not."""


class _Stream:
    """A turn's records of one stream, and the time of the last."""

    __slots__ = ("records", "stamp")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.stamp = 0.0


class Intake:
    """Takes messages and gives them to the store at the end of the turn.

    ``stored`` is called for each message that is on disk, in the order of the calls, before its ``done``.
    """

    def __init__(self, core: Core, stored: Callable[[HubMessage], None]) -> None:
        self._core = core
        self._stored = stored
        self._streams: dict[str, _Stream] = {}
        self._waiting: list[tuple[HubMessage, Done]] = []

    def take(self, message: HubMessage, done: Done) -> None:
        """Store a message where the routes say; HubError when it cannot be stored, and then ``done`` is not called."""
        routing = self._core.routing
        if routing.all_to_built_in:
            self._add(self._core.event_hub.stream_of(message.identity.device_id), encode_record(message), message)
        else:
            for one in routing.appended(message):
                for record in one.records:
                    self._add(one.stream, record, message)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((message, done))

    async def drained(self) -> None:
        """Return once everything taken so far is on disk and its callers know."""
        self._flush()
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._core.store.append_all((), lambda _error: settled.set_result(None))
        await settled

    def _add(self, name: str, record: bytes, message: HubMessage) -> None:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = _Stream()
        stream.records.append(record)
        stream.stamp = message.enqueued

    def _flush(self) -> None:
        if not self._waiting:
            return
        streams, self._streams = self._streams, {}
        waiting, self._waiting = self._waiting, []
        appends = [
            Appended(stream=name, records=stream.records, stamp=stream.stamp) for name, stream in streams.items()
        ]
        try:
            self._core.store.append_all(appends, partial(self._settle, waiting))
        except StoreError as error:
            self._settle(waiting, error)

    def _settle(self, waiting: list[tuple[HubMessage, Done]], error: BaseException | None) -> None:
        if error is None:
            self._announce(waiting)
        for message, done in waiting:
            try:
                if error is None:
                    self._stored(message)
                done(error)
            except Exception as failure:  # those behind it must hear of theirs
                context = {"message": "what follows a stored message failed", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(context)

    def _announce(self, waiting: list[tuple[HubMessage, Done]]) -> None:
        for device_id in {message.identity.device_id for message, _ in waiting}:
            self._core.routing.announce(device_id)
