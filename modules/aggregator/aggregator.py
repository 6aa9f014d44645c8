"""The engine with its journal: what `take` has returned from is on disk, and what was made of it is not lost.

A message is written to the journal, with others in one synced commit; then the engine takes it, and what that emits
goes to the outbox; then `take` returns, so that the message is acknowledged. The engine sees nothing that is not in the
journal, so after a crash it is where it was, and its emissions have the ids that they had. A snapshot now and then
keeps the journal short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson
import structlog

from iot_core.clock import Clock, SystemClock
from iot_core.errors import EdgeyardError
from iot_core.message import Message
from modules.aggregator.archive import Archive
from modules.aggregator.engine import Engine
from modules.aggregator.entries import Arrived, Configured, Entry, Silence, encode
from modules.aggregator.outbox import Outbox
from modules.aggregator.results import Emission
from modules.aggregator.settings import AggregatorSettings
from modules.aggregator.times import micros

__all__ = ["Aggregator"]

BATCH = 2_000  # Entries in a commit: the engine takes them without a break, some 50 ms.
SNAPSHOT_BYTES = 16 * 1024 * 1024  # Of the journal between two snapshots: a restart reads so much in a few seconds.
SNAPSHOT_SHARE = 4  # With a large state snapshots are rarer: the journal is so many times as long as the state.
log = structlog.get_logger("aggregator")


@dataclass(slots=True)
class _Waiting:
    """An entry on its way to the journal; the future ends when the engine has taken it."""

    entry: Entry
    data: bytes
    taken: asyncio.Future[None]


class Aggregator:
    """See the module. Works between `start` and `close`."""

    def __init__(self, archive: Archive, clock: Clock, *, snapshot_bytes: int = SNAPSHOT_BYTES) -> None:
        self._archive = archive
        self._clock = clock
        self._snapshot_bytes = snapshot_bytes
        self.engine = Engine()
        self.outbox = Outbox()
        self._position = 0
        self._bytes_since = 0
        self._state_bytes = 0
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._is_configured = asyncio.Event()
        self._is_closing = False
        self._work: asyncio.Task[None] | None = None
        self.problem: str | None = None
        """Why the journal could not be written the last time; None when it could."""
        self._recover()

    @classmethod
    def open(cls, folder: Path, *, clock: Clock | None = None, snapshot_bytes: int = SNAPSHOT_BYTES) -> Self:
        """With the state in `folder`, if there is one; StoreError when it cannot be used."""
        return cls(Archive(folder), clock or SystemClock(), snapshot_bytes=snapshot_bytes)

    def in_force(self) -> dict[str, Any]:
        """The settings that the state was made with, as in a twin; empty without a state."""
        if not self._is_configured.is_set():
            return {}
        definitions = {name: one.definition for name, one in self.engine.aggregations.items()}
        settings = AggregatorSettings(definitions=definitions, remembered_ids=self.engine.remembered.limit)
        return {name: value for name, value in settings.to_twin().items() if name in ("definitions", "rememberedIds")}

    async def take(self, message: Message) -> None:
        """Returns when the message is on disk and has had its effect; StoreError when it is not.

        Waits while nothing is known of definitions, and while too much waits for the edge hub."""
        if not self._is_configured.is_set():
            await self._is_configured.wait()
        if not self.outbox.has_room:
            await self.outbox.room()
        await self._enter(Arrived(micros(self._clock.now()), message))

    async def configure(self, settings: AggregatorSettings) -> None:
        """Put the definitions of these settings in force, behind the messages that were taken before."""
        if not (self._is_configured.is_set() and self._is_in_force(settings)):
            generation = f"{micros(self._clock.now()):x}"
            await self._enter(
                Configured(
                    generation=generation,
                    remembered_ids=settings.remembered_ids,
                    definitions=settings.definitions,
                )
            )

    async def pass_silence(self, since: float) -> None:
        """Close the windows that close because nothing comes; `since` is when messages could come at all (unix
        seconds)."""
        now, start = micros(self._clock.now()), micros(since)
        if not self._waiting and self.outbox.has_room and self.engine.is_due(now, start):
            await self._enter(Silence(now=now, since=start))

    async def acknowledged(self, ids: Sequence[str]) -> None:
        """Note on disk that these emissions were acknowledged."""
        await self._archive.acknowledge(ids)

    def start(self) -> None:
        """Begin to take."""
        self._work = asyncio.create_task(self._run())
        self._work.add_done_callback(self._ended)

    async def close(self) -> None:
        """Take what waits, keep the state, close the files."""
        self._is_closing = True
        self._news.set()
        if self._work is not None:
            await self._work
        await self._keep_or_log()
        await self._archive.close()

    async def keep(self) -> None:
        """Write a snapshot."""
        state = orjson.dumps({"engine": self.engine.dump(), "outbox": self.outbox.dump()})
        position, pending = self._position, self.outbox.ids()
        self._bytes_since, self._state_bytes = 0, len(state)
        await self._archive.keep(position, state, pending)

    def _enter(self, entry: Entry) -> asyncio.Future[None]:
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(entry, encode(entry), taken))
        if not self._news.is_set():
            self._news.set()
        return taken

    async def _run(self) -> None:
        while self._waiting or not self._is_closing:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._write_batch()

    def _ended(self, work: asyncio.Task[None]) -> None:
        """Nothing is taken any more, so nothing is acknowledged: `problem` tells."""
        if not work.cancelled() and (error := work.exception()):
            self.problem = f"the aggregator has stopped: {error!r}"
            log.error("stopped", reason=repr(error))

    async def _write_batch(self) -> None:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        try:
            first = await self._archive.append([one.data for one in batch], self._clock.now())
        except EdgeyardError as error:
            self._refuse(batch, error)
        else:
            self.problem = None
            await self._take_batch(first, batch)

    def _refuse(self, batch: Sequence[_Waiting], error: EdgeyardError) -> None:
        self.problem = str(error)
        log.error("journal not written", reason=str(error), entries=len(batch))
        for one in batch:
            if not one.taken.done():
                one.taken.set_exception(error)

    async def _take_batch(self, first: int, batch: Sequence[_Waiting]) -> None:
        for number, one in enumerate(batch, first):
            if emissions := self._apply(number, one.entry):
                self.outbox.put(emissions)
            if not one.taken.done():
                one.taken.set_result(None)
        self._position = first + len(batch)
        self._bytes_since += sum(len(one.data) for one in batch)
        if self._bytes_since > max(self._snapshot_bytes, SNAPSHOT_SHARE * self._state_bytes):
            await self._keep_or_log()

    async def _keep_or_log(self) -> None:
        try:
            await self.keep()
        except EdgeyardError as error:
            log.error("snapshot not written", reason=str(error))

    def _apply(self, number: int, entry: Entry) -> list[Emission]:
        if isinstance(entry, Arrived):
            return self.engine.message(number, entry.arrival, entry.message)
        if isinstance(entry, Silence):
            return self.engine.silence(entry.now, entry.since)
        self.engine.configure(entry.definitions, entry.remembered_ids, generation=entry.generation)
        self._is_configured.set()
        return []

    def _is_in_force(self, settings: AggregatorSettings) -> bool:
        return self.engine.is_configured(settings.definitions, settings.remembered_ids)

    def _recover(self) -> None:
        self._position, state = self._archive.snapshot()
        made: dict[str, Emission] = {}
        if state is not None:
            self.engine.load(state["engine"])
            self._is_configured.set()
            made = {emission.id: emission for emission in Outbox.load(state["outbox"])}
        for entry in self._archive.entries(self._position):
            made.update((emission.id, emission) for emission in self._apply(self._position, entry))
            self._position += 1
        sent = self._archive.acknowledged()
        self.outbox.put(emission for emission in made.values() if emission.id not in sent)
        if self._position:
            log.info("state recovered", entries=self._position, unsent=len(self.outbox))
