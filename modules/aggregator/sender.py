"""Sends what is in the outbox, many at once, and notes on disk what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from device.errors import HubRefusedError
from iot_core.errors import EdgeyardError
from modules.aggregator.outbox import Outbox
from modules.aggregator.results import Emission
from modules.common.delivery import Send, deliver

__all__ = ["Sender"]

IN_FLIGHT = 100  # Sent and not acknowledged; hides the time that an acknowledgement takes.
log = structlog.get_logger("aggregator.sender")


class Sender:
    """At least once, with the same id each time; begun in order, but a message that must be sent again may be
    overtaken."""

    def __init__(self, outbox: Outbox, send: Send, note: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """`note` keeps ids of what was acknowledged, so that they are not sent again after a restart."""
        self._outbox = outbox
        self._send = send
        self._note = note
        self._in_flight: set[asyncio.Task[None]] = set()
        self._acknowledged: list[str] = []
        self._news = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.refused = 0
        """Messages that the edge hub did not take and never will."""

    async def run(self) -> None:
        """Send for ever; when cancelled, what is in flight is given up and what was acknowledged is noted."""
        noting = asyncio.create_task(self._note_all())
        try:
            while True:
                await self._slots.acquire()
                task = asyncio.create_task(self._one(await self._outbox.next()))
                self._in_flight.add(task)
                task.add_done_callback(self._ended)
        finally:
            noting.cancel()
            for task in list(self._in_flight):
                task.cancel()
            await asyncio.gather(noting, *self._in_flight, return_exceptions=True)
            await self._note_once()

    async def _one(self, emission: Emission) -> None:
        try:
            await deliver(self._send, emission.message(), emission.output)
        except HubRefusedError as error:
            self.refused += 1
            log.error("message refused by the edge hub", output=emission.output, id=emission.id, reason=str(error))
        self._outbox.done(emission)
        self._acknowledged.append(emission.id)
        self._news.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()):
            # It stays in the outbox, and so on disk: the next start sends it.
            log.error("message not sent", reason=repr(error))

    async def _note_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._note_once()

    async def _note_once(self) -> None:
        ids, self._acknowledged = self._acknowledged, []
        if ids:
            # Without the note they are sent a second time after a restart, with the same ids: no reason to stop.
            with suppress(EdgeyardError):
                await self._note(ids)
