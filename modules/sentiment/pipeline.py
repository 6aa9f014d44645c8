"""Waiting texts go to the container in batches, their verdicts to the edge hub; a container that is away is waited for.

Order: batches are formed from the oldest texts, and the texts of a batch are sent in order. Up to `parallelBatches`
are under way at once, so a slow one does not stop the others and may be overtaken; with 1 the order is that of arrival.
A text leaves the disk only after its answer (or the report that there is none) is acknowledged by the edge hub.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from iot_core.clock import Clock, SystemClock
from iot_core.errors import EdgeyardError
from modules.common.delivery import backoff
from modules.sentiment.api import MAX_BODY, Answers, Document, DocumentError
from modules.sentiment.batch import Item, items_of, requests_of
from modules.sentiment.breaker import Breaker
from modules.sentiment.container import (
    Container,
    ContainerRefusedError,
    ContainerUnavailableError,
)
from modules.sentiment.metrics import SentimentMetrics
from modules.sentiment.outputs import Outputs
from modules.sentiment.settings import SentimentSettings
from modules.sentiment.waiting import WaitingText, WaitingTexts

__all__ = ["Pipeline"]

FIRST_LIMIT = 10  # texts of a batch while the container's API is not known: every version takes as many
POISON_ATTEMPTS = 5
"""Failures of one request, while others succeed, after which it is the texts that are to blame."""
NO_ANSWER = DocumentError(code="NoAnswer", message="the container gave no result for this text")
log = structlog.get_logger("sentiment.pipeline")


class _TooManyError(EdgeyardError):
    """Another container has come, which takes less at once."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit} documents")
        self.limit = limit


class Pipeline:
    """`run` empties the waiting texts until it is cancelled."""

    def __init__(
        self,
        texts: WaitingTexts,
        container: Container,
        outputs: Outputs,
        settings: Callable[[], SentimentSettings],
        metrics: SentimentMetrics,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._texts = texts
        self._container = container
        self._outputs = outputs
        self._settings = settings
        self._metrics = metrics
        self._answered = 0
        self._batches: set[asyncio.Task[None]] = set()
        self.breaker = Breaker(
            clock or SystemClock(),
            failures=lambda: settings().breaker_failures,
            pause_s=lambda: settings().breaker_pause,
            changed=metrics.breaker,
        )

    async def run(self) -> None:
        """Empty what waits, for ever; what is under way when this is cancelled stays on disk."""
        try:
            while True:
                while len(self._batches) >= self._settings().parallel_batches:
                    await asyncio.wait(self._batches, return_when=asyncio.FIRST_COMPLETED)
                if texts := await self._next():
                    batch = asyncio.create_task(self._work(texts))
                    self._batches.add(batch)
                    batch.add_done_callback(self._batches.discard)
        finally:
            for batch in self._batches:
                batch.cancel()
            await asyncio.gather(*self._batches, return_exceptions=True)

    async def _next(self) -> list[WaitingText]:
        """The next texts: as many as a request takes, or what has come when the first has waited long enough."""
        texts, settings = self._texts, self._settings()
        await texts.until(lambda: texts.available > 0)
        limit = min(settings.max_batch, self._limit())
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.max_wait):
                await texts.until(lambda: texts.available >= limit)
        return await texts.take(limit, MAX_BODY)

    def _limit(self) -> int:
        return self._container.limit or FIRST_LIMIT

    async def _work(self, texts: list[WaitingText]) -> None:
        """One batch to its end. A failure nobody foresaw is logged, and what is left of the batch tried again."""
        left, attempt = list(texts), 0
        while left:
            try:
                await self._handle(left)
            except Exception:
                log.exception("batch failed", texts=len(left))
                await asyncio.sleep(backoff(attempt))
                attempt += 1

    async def _handle(self, left: list[WaitingText]) -> None:
        """Answer the texts in `left`, and take them out of it one request after the other."""
        settings = self._settings()
        for request in list(requests_of(items_of(left, settings), min(settings.max_batch, self._limit()))):
            answers = await self._ask(request)
            await asyncio.gather(*(self._answer(item, answers) for item in request))
            done = [item.waiting for item in request]
            await self._texts.remove(done)
            del left[: len(done)]

    async def _ask(self, request: Sequence[Item]) -> Answers:
        """Verdicts and errors by document id; waits for the container, following changes of the settings."""
        documents = [item.document for item in request if item.document is not None]
        if not documents:
            return Answers()
        attempt, answered_before = 0, self._answered
        while True:
            try:
                return await self._request(documents)
            except _TooManyError as error:
                return await self._ask_apart(request, error.limit)
            except ContainerRefusedError as error:
                if len(documents) > 1:  # One bad document must not take the others with it.
                    return await self._ask_apart(request, len(request) // 2)
                problem = DocumentError(code=error.code or "Refused", message=str(error))
                return Answers(errors={documents[0].id: problem})
            except ContainerUnavailableError as error:
                attempt = await self._unavailable(error, attempt)
                if error.is_failure and attempt >= POISON_ATTEMPTS and self._answered > answered_before:
                    if len(documents) > 1:
                        return await self._ask_apart(request, len(request) // 2)
                    reason = f"the container failed {attempt} times on this text while it answered others: {error}"
                    return Answers(errors={documents[0].id: DocumentError(code="Failed", message=reason)})

    async def _ask_apart(self, request: Sequence[Item], size: int) -> Answers:
        parts = [request[start : start + size] for start in range(0, len(request), size)]
        answers = [await self._ask(part) for part in parts]
        return Answers(
            verdicts={name: verdict for answer in answers for name, verdict in answer.verdicts.items()},
            errors={name: error for answer in answers for name, error in answer.errors.items()},
        )

    async def _request(self, documents: Sequence[Document]) -> Answers:
        """One request, when the breaker lets it; the container is asked for its API first where that is not known."""
        await self.breaker.admission()
        start, outcome = time.perf_counter(), "unavailable"
        try:
            endpoint = self._settings().endpoint
            version = await self._container.ask_version(endpoint)
            if len(documents) > version.limit:
                raise _TooManyError(version.limit)
            answers = await self._container.verdicts(endpoint, version, documents)
            outcome = "answered"
        except ContainerRefusedError:
            outcome = "refused"
            raise
        except (_TooManyError, asyncio.CancelledError):
            self.breaker.released()
            outcome = "given up"
            raise
        finally:
            self._metrics.request(outcome, time.perf_counter() - start)
            if outcome in ("answered", "refused"):
                self.breaker.succeeded()
        self._answered += 1
        return answers

    async def _unavailable(self, error: ContainerUnavailableError, attempt: int) -> int:
        """Count it, wait as long as the container asked or the back-off says; the next attempt's number."""
        self.breaker.failed(error.retry_after_s)
        self._outputs.last_error = str(error)
        pause = max(backoff(attempt), error.retry_after_s)
        state = self.breaker.state.value
        log.warning(
            "container not available", reason=str(error), retry_in_s=pause, breaker=state, waiting=self._texts.count
        )
        await asyncio.sleep(pause)
        return attempt + 1

    async def _answer(self, item: Item, answers: Answers) -> None:
        origin, name = item.waiting.message, item.document.id if item.document else ""
        verdict = answers.verdicts.get(name)
        if verdict is not None:
            await self._outputs.scored(origin, item.record, verdict, self._settings())
            return
        problem = item.problem or answers.errors.get(name, NO_ANSWER)
        await self._outputs.error(origin, item.record, problem.code, problem.message)
