"""Feedback on cloud-to-device messages, received in batches by services (IoT Hub developer guide, "Send
cloud-to-device messages", message feedback).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from iot_core.c2d import Event
from local_hub.c2d.messages import FeedbackBatch
from local_hub.c2d.rows import C2dTransaction
from local_hub.pump import Pump, Receiver

__all__ = ["CONTENT_TYPE", "Commit", "Feedback"]

CONTENT_TYPE = "application/vnd.microsoft.iothub.feedback.json"

T = TypeVar("T")


class Commit(Protocol):
    """Runs a transaction of the queues and returns once it is on disk."""

    async def __call__(self, work: Callable[[C2dTransaction], T], /) -> T: ...


class Feedback:
    """The one queue of batches, shared by all services."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._background: set[asyncio.Task[None]] = set()
        self.pump: Pump[FeedbackBatch] = Pump(self._fetch, self._give_back)

    async def receive(self) -> FeedbackBatch | None:
        """Lock the oldest free batch for the lock duration of the options; None when there is none."""
        return await self._commit(lambda transaction: transaction.receive_feedback(connected=False))

    async def complete(self, lock_token: str) -> None:
        """The service has the batch; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.COMPLETE)

    async def reject(self, lock_token: str) -> None:
        """Drop the batch; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.REJECT)

    async def abandon(self, lock_token: str) -> None:
        """Put the batch back, which counts; HubError DeviceMessageLockLost."""
        await self._settle(lock_token, Event.ABANDON)

    def attach(self, receiver: Receiver[FeedbackBatch]) -> None:
        """Bring batches to ``receiver`` as they come, those that wait first, as far as its credit goes."""
        self.pump.attach(receiver)

    def detach(self, receiver: Receiver[FeedbackBatch]) -> None:
        """Bring it no more; nothing happens when it is not attached."""
        self.pump.detach(receiver)

    def release(self, lock_tokens: Sequence[str]) -> None:
        """Put batches back that a connection held when it went, which does not count; never waits."""
        if lock_tokens:
            task = asyncio.create_task(self._release(tuple(lock_tokens)))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def settled(self) -> None:
        """Wait for the work that goes on."""
        await self.pump.settled()
        await asyncio.gather(*self._background)

    async def _settle(self, lock_token: str, event: Event) -> None:
        await self._commit(lambda transaction: transaction.settle_feedback(lock_token, event))

    async def _release(self, lock_tokens: tuple[str, ...]) -> None:
        await self._commit(lambda transaction: transaction.release_feedback(lock_tokens))

    async def _fetch(self, _most: int) -> Sequence[FeedbackBatch]:
        batch = await self._commit(lambda transaction: transaction.receive_feedback(connected=True))
        return [batch] if batch else []

    def _give_back(self, items: Sequence[FeedbackBatch]) -> None:
        self.release([item.lock_token for item in items])
