"""Telemetry that waits at the same time is judged together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from iot_core.message import Message
from modules.scorer.settings import ScorerSettings
from modules.scorer.telemetry import Output, TelemetryScorer

__all__ = ["Gathering"]

MOST = 32  # messages judged in one piece: some 3 ms in which the event loop does nothing else


class Gathering:
    """Takes messages one by one and judges in one piece what came in the same turn of the event loop, in its order."""

    def __init__(self, scorer: TelemetryScorer, settings: Callable[[], ScorerSettings]) -> None:
        """`settings` gives those in force when a piece is judged."""
        self._scorer = scorer
        self._settings = settings
        self._waiting: deque[tuple[Message, asyncio.Future[list[Output]]]] = deque()

    async def take(self, message: Message) -> list[Output]:
        """As TelemetryScorer.take."""
        loop = asyncio.get_running_loop()
        outputs: asyncio.Future[list[Output]] = loop.create_future()
        self._waiting.append((message, outputs))
        if len(self._waiting) == 1:
            loop.call_soon(self._judge)
        return await outputs

    def _judge(self) -> None:
        piece = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._judge)
        results = self._scorer.take_all([message for message, _ in piece], self._settings())
        for (_, outputs), taken in zip(piece, results, strict=True):
            if outputs.done():
                continue  # nobody waits any more: the process stops
            if taken.error is not None:
                outputs.set_exception(taken.error)
            else:
                outputs.set_result(taken.outputs)
