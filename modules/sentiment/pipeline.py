"""Texts in, scored texts out: the queue is emptied in batches, a container that is away is waited for.

A message leaves the queue only after its answer (or the report that there is none) is acknowledged by the edge hub.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from device.errors import HubRefusedError
from iot_core.errors import MessageError
from iot_core.message import Message
from modules.common.delivery import Send, backoff, deliver
from modules.common.json_body import json_message, records, text_at
from modules.sentiment.container import (
    Container,
    ContainerRefusedError,
    ContainerUnavailableError,
    Document,
    Scores,
)
from modules.sentiment.settings import SentimentSettings
from modules.sentiment.spool import SpoolQueue

__all__ = ["ERRORS", "SCORED", "Pipeline"]

SCORED, ERRORS = "scored", "errors"
BATCH = 100  # documents per request: a tenth of what the API allows, so that a batch is a fraction of a second
BATCH_BYTES = 400_000  # of bodies: well under the API's megabyte, even with every character escaped once
SHOWN_BYTES = 200  # of an unreadable body, in its error report
log = structlog.get_logger("sentiment.pipeline")


@dataclass(kw_only=True)
class Counts:
    """What has come and gone since the module started."""

    messages: int = 0
    positive: int = 0
    neutral: int = 0
    negative: int = 0
    errors: int = 0


class Pipeline:
    """`take` puts messages in; `run` scores and sends them until it is cancelled."""

    def __init__(
        self, queue: SpoolQueue, container: Container, send: Send, settings: Callable[[], SentimentSettings]
    ) -> None:
        self._queue = queue
        self._container = container
        self._send = send
        self._settings = settings
        self.counts = Counts()
        self.last_error: str | None = None
        self.container_ready = False

    async def take(self, message: Message) -> None:
        """Queue the records of a message (an object with "text", or an array of them); an unreadable message is
        answered with an error report."""
        self.counts.messages += 1
        try:
            found = records(message.body)
            for record in found:
                text_at(record, "text")
        except MessageError as error:
            shown = message.body[:SHOWN_BYTES].decode("utf-8", "replace")
            await self._report_error(message, {"body": shown}, str(error))
            return
        for record in found:
            self._queue.put(Message(orjson.dumps(record), message.properties, message.system))

    async def run(self) -> None:
        """Empty the queue, batch by batch, for ever. A failure nobody foresaw is logged, and the batch tried again."""
        failures = 0
        while True:
            batch = _within(await self._queue.head(BATCH), BATCH_BYTES)
            try:
                await self._handle(batch)
                self._queue.done(len(batch))
                failures = 0
            except Exception:
                log.exception("batch failed", messages=len(batch))
                await asyncio.sleep(backoff(failures))
                failures += 1

    def reported(self) -> dict[str, Any]:
        """Reported properties: counts, queued, containerReady and lastError."""
        return {
            "counts": vars(self.counts).copy(),
            "queued": len(self._queue),
            "containerReady": self.container_ready,
            "lastError": self.last_error,
        }

    async def probe(self) -> None:
        """Ask the container whether it is ready."""
        self.container_ready = await self._container.ready(self._settings().endpoint)

    async def _handle(self, batch: Sequence[Message]) -> None:
        contents = [orjson.loads(message.body) for message in batch]
        try:
            scores = await self._scores(contents)
        except ContainerRefusedError as error:
            if len(batch) > 1:  # One bad document must not take the others with it.
                for message in batch:
                    await self._handle([message])
                return
            scores = Scores(errors={"0": str(error)})
        for position, (message, record) in enumerate(zip(batch, contents, strict=True)):
            await self._answer(message, record, scores, str(position))

    async def _scores(self, contents: Sequence[dict[str, Any]]) -> Scores:
        """Scores by position in the batch; waits for the container, following changes of the endpoint."""
        attempt = 0
        while True:
            settings = self._settings()
            documents = [_document(position, record, settings) for position, record in enumerate(contents)]
            try:
                scores = await self._container.scores(settings.endpoint, documents)
                self.container_ready = True
                return scores
            except ContainerUnavailableError as error:
                self._unavailable(error, attempt)
                await asyncio.sleep(backoff(attempt))
                attempt += 1

    def _unavailable(self, error: ContainerUnavailableError, attempt: int) -> None:
        self.container_ready = False
        self.last_error = str(error)
        log.warning("container not available", reason=str(error), retry_in_s=backoff(attempt), queued=len(self._queue))

    async def _answer(self, message: Message, record: dict[str, Any], scores: Scores, name: str) -> None:
        score = scores.scores.get(name)
        if score is None:
            return await self._report_error(message, record, scores.errors.get(name, "the container gave no score"))
        sentiment = self._settings().sentiment(score)
        setattr(self.counts, sentiment, getattr(self.counts, sentiment) + 1)
        content = {**record, "sentimentScore": score, "sentiment": sentiment}
        return await self._deliver(json_message(content, message, {"sentiment": sentiment}), SCORED)

    async def _report_error(self, message: Message, content: dict[str, Any], reason: str) -> None:
        """Send what came and why it has no score to the output `errors`."""
        self.counts.errors += 1
        self.last_error = reason
        log.warning("message not scored", reason=reason)
        await self._deliver(json_message({**content, "error": reason}, message, {"sentiment": "error"}), ERRORS)

    async def _deliver(self, message: Message, output: str) -> None:
        try:
            await deliver(self._send, message, output)
        except HubRefusedError as error:
            self.counts.errors += 1
            self.last_error = f"the edge hub refused a message for {output}: {error}"
            log.error("message refused", output=output, reason=str(error))


def _document(position: int, record: dict[str, Any], settings: SentimentSettings) -> Document:
    language = record.get("language")
    named = isinstance(language, str) and language
    return Document(id=str(position), text=record["text"], language=str(language) if named else settings.language)


def _within(messages: Sequence[Message], limit: int) -> list[Message]:
    """As many from the front as fit into `limit` bytes of bodies, at least one."""
    total = 0
    for count, message in enumerate(messages):
        total += len(message.body)
        if count and total > limit:
            return list(messages[:count])
    return list(messages)
