"""One task per endpoint that moves its stored messages to the receiver.

Order is kept per endpoint and priority; a message is removed only after the receiver acknowledged it; a receiver that
is away is waited for without limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from local_edge.edgehub.messages import MessageStore, QueuedMessage

__all__ = ["Pump", "Send"]

Send = Callable[[Sequence[QueuedMessage]], Awaitable[list[int]]]
"""Delivers a batch in order and returns the ids that were acknowledged; waits while the receiver is away."""

BATCH = 64
"""Messages read at once: bounds memory to 16 MiB at the largest size, and shares one commit between their removals."""
RETRY_FIRST_S, RETRY_LAST_S = 0.1, 60.0
"""Seconds between attempts after a failed batch, doubled from first to last."""

_log = logging.getLogger(__name__)


class Pump:
    """Moves the messages of `endpoint` through `send` until closed."""

    def __init__(self, endpoint: str, messages: MessageStore, send: Send, clock: Clock) -> None:
        self.endpoint = endpoint
        self._messages = messages
        self._send = send
        self._clock = clock
        self._more = asyncio.Event()
        self._more.set()
        self._task = asyncio.create_task(self._run(), name=f"pump {endpoint}")

    def wake(self) -> None:
        """Something was stored for this endpoint."""
        self._more.set()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        wait_s = RETRY_FIRST_S
        while True:
            await self._more.wait()
            self._more.clear()
            while batch := self._messages.next_batch(self.endpoint, self._clock.now(), BATCH):
                if await self._deliver(batch):
                    wait_s = RETRY_FIRST_S
                    continue
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, RETRY_LAST_S)

    async def _deliver(self, batch: Sequence[QueuedMessage]) -> bool:
        """True when at least one message of the batch arrived."""
        try:
            arrived = await self._send(batch)
            if arrived:
                await self._messages.remove(self.endpoint, arrived)
        except EdgeyardError as error:
            _log.warning("messages for %s wait: %s", self.endpoint, error)
            return False
        return bool(arrived)
