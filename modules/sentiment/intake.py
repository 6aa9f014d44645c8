"""Messages of the edge hub become waiting texts, or error reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import structlog

from iot_core.errors import MessageError, StoreError
from iot_core.message import Message
from modules.common.json_body import records, text_at
from modules.sentiment.metrics import SentimentMetrics
from modules.sentiment.outputs import RECORD_ID, Outputs
from modules.sentiment.settings import SentimentSettings, WhenFull
from modules.sentiment.waiting import WaitingTexts

__all__ = ["Intake", "NoRoomError"]

ROOM_S = 20.0  # a full disk is waited for this long; the edge hub waits 30 s for an acknowledgement
DROPPED_AT_ONCE = 100
DROPPED_BYTES = 1024 * 1024
SHOWN_BYTES = 200  # of an unreadable body, in its error report
log = structlog.get_logger("sentiment.intake")


class NoRoomError(StoreError):
    """As many texts wait as may; the message is not acknowledged, so the edge hub keeps it and sends it again."""


class Intake:
    """`take` returns when a message's texts are on disk, or its error report is with the edge hub."""

    def __init__(
        self,
        texts: WaitingTexts,
        outputs: Outputs,
        settings: Callable[[], SentimentSettings],
        metrics: SentimentMetrics,
        *,
        room_s: float = ROOM_S,
    ) -> None:
        self._texts = texts
        self._outputs = outputs
        self._settings = settings
        self._metrics = metrics
        self._room_s = room_s

    async def take(self, message: Message) -> None:
        """One message: an object with a text, or an array of them. NoRoomError, or StoreError when the disk refuses."""
        self._metrics.message()
        try:
            found = records(message.body)
            for record in found:
                text_at(record, self._settings().text_path)
        except MessageError as error:
            shown = {"body": message.body[:SHOWN_BYTES].decode("utf-8", "replace")}
            await self._outputs.error(message, shown, "UnreadableMessage", str(error))
            return
        await self._make_room()
        await self._texts.put(
            [
                Message(orjson.dumps(record), message.properties, _numbered(message.system, position))
                for position, record in enumerate(found)
            ]
        )

    async def _make_room(self) -> None:
        settings = self._settings()
        while not self._texts.has_room(settings.max_waiting, settings.max_waiting_bytes):
            if settings.when_full is WhenFull.DROP_OLDEST and self._texts.available > 0:
                await self._drop_oldest()
            else:
                await self._wait_for_room(settings)

    async def _wait_for_room(self, settings: SentimentSettings) -> None:
        try:
            async with asyncio.timeout(self._room_s):
                await self._texts.until(lambda: self._texts.has_room(settings.max_waiting, settings.max_waiting_bytes))
        except TimeoutError:
            self._metrics.held()
            raise NoRoomError(
                f"{self._texts.count} texts ({self._texts.size} bytes) wait, as many as may: the message stays with "
                "the edge hub"
            ) from None

    async def _drop_oldest(self) -> None:
        """Report the oldest texts as errors and forget them: as many as are over the limit, and one."""
        settings = self._settings()
        surplus = max(self._texts.count - settings.max_waiting + 1, 1)
        dropped = await self._texts.take(min(surplus, DROPPED_AT_ONCE), DROPPED_BYTES)
        log.warning("oldest texts dropped", texts=len(dropped), waiting=self._texts.count)
        for text in dropped:
            reason = "dropped unscored: newer texts needed its room on disk (whenFull is dropOldest)"
            await self._outputs.error(
                text.message, orjson.loads(text.message.body), "Dropped", reason, outcome="dropped"
            )
        await self._texts.remove(dropped)


def _numbered(system: dict[str, str], position: int) -> dict[str, str]:
    """With an id of the record: that of its message and its place in it, so that a repeated answer can be told."""
    name = system.get("messageId")
    return system if name is None else {**system, RECORD_ID: f"{name}.{position}"}
