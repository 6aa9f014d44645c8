"""Telemetry on its way to disk: what comes in one turn of the event loop goes to the store in one piece.

A message by itself costs a queue, a lock and a wake-up; a turn's worth of messages shares them, and one time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from iot_core.errors import StoreError
from local_hub.changes import Core
from local_hub.eventhub import Envelope, HubMessage
from transport.store import Appended

__all__ = ["Done", "Intake", "Run", "Sender"]

Done: TypeAlias = Callable[[BaseException | None], None]
"""Called on the event loop once a message is on disk, or with the StoreError for which it is not."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sender:
    """What a client's messages with the same properties share.

    ``stream`` is the store's, of the built-in endpoint; ``size`` what the properties add to a message's.
    """

    envelope: Envelope
    stream: str
    size: int


Run: TypeAlias = tuple[Sender, Sequence[bytes]]
"""The bodies of messages that one sender sent one after another."""


class _Taken(NamedTuple):
    enqueued: float
    runs: Sequence[Run]
    done: Done


class Intake:
    """Takes messages and gives them to the store at the end of the turn.

    ``publish`` is called with each message that is on disk while anybody listens, in the order of the calls.
    """

    def __init__(self, core: Core, publish: Callable[[HubMessage], None]) -> None:
        self._core = core
        self._publish = publish
        self._time = 0.0
        self._streams: dict[str, list[bytes]] = {}
        self._waiting: list[_Taken] = []

    def take(self, runs: Sequence[Run], done: Done) -> None:
        """Store messages where the routes say, all or none of them; ``done`` is called once, for all.

        HubError when one cannot be stored, and then ``done`` is not called.
        """
        self._begin()
        for stream, records in [one for run in runs for one in self._routed(*run)]:
            self._streams.setdefault(stream, []).extend(records)
        self._waiting.append(_Taken(self._time, runs, done))

    async def drained(self) -> None:
        """Return once everything taken so far is on disk and its callers know."""
        self._flush()
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._core.store.append_all((), lambda _error: settled.set_result(None))
        await settled

    def _begin(self) -> None:
        """The first message of a turn sets its time and its end."""
        if not self._waiting:
            self._time = self._core.event_hub.time()
            asyncio.get_running_loop().call_soon(self._flush)

    def _routed(self, sender: Sender, bodies: Sequence[bytes]) -> Sequence[tuple[str, Sequence[bytes]]]:
        """Streams, and what to append to each."""
        if self._core.routing.all_to_built_in:
            return ((sender.stream, sender.envelope.records(self._time, bodies)),)
        return [
            (one.stream, one.records)
            for body in bodies
            for one in self._core.routing.appended(sender.envelope.message(self._time, body))
        ]

    def _flush(self) -> None:
        if not self._waiting:
            return
        streams, self._streams = self._streams, {}
        waiting, self._waiting = self._waiting, []
        for identity in {sender.envelope.identity for sender in _senders(waiting)}:
            self._core.sessions.touch(identity)
        appends = [Appended(stream=name, records=records, stamp=self._time) for name, records in streams.items()]
        try:
            self._core.store.append_all(appends, partial(self._settle, waiting))
        except StoreError as error:
            self._settle(waiting, error)

    def _settle(self, waiting: list[_Taken], error: BaseException | None) -> None:
        if error is None:
            for device_id in {sender.envelope.identity.device_id for sender in _senders(waiting)}:
                self._core.routing.announce(device_id)
        for taken in waiting:
            try:
                if error is None and self._core.events.wanted:
                    self._tell(taken)
                taken.done(error)
            except Exception as failure:  # those behind it must hear of theirs
                context = {"message": "what follows a stored message failed", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(context)

    def _tell(self, taken: _Taken) -> None:
        for sender, bodies in taken.runs:
            for body in bodies:
                self._publish(sender.envelope.message(taken.enqueued, body))


def _senders(waiting: list[_Taken]) -> set[Sender]:
    return {sender for taken in waiting for sender, _ in taken.runs}
