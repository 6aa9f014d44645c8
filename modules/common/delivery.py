"""Sending to a module's output until the edge hub has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from device.errors import RETRY
from iot_core.message import Message

__all__ = ["Send", "backoff", "deliver"]

Send = Callable[[Message, str], Awaitable[None]]
"""Sends a message to an output and returns when it is acknowledged (device.client.HubClient.send_to_output)."""

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 15.0  # a hub or container that is back is found again within a quarter of a minute


def backoff(attempt: int) -> float:
    """Seconds to wait after failed attempt number `attempt` (0 is the first): doubling, at most LONGEST_WAIT_S."""
    return min(FIRST_WAIT_S * 2.0 ** min(attempt, 10), LONGEST_WAIT_S)


async def deliver(send: Send, message: Message, output: str) -> None:
    """Send, again and again while the connection is to blame (device.errors.RETRY); at least once, order not kept
    between callers. Raises HubRefusedError where trying again does not help."""
    attempt = 0
    while True:
        try:
            return await send(message, output)
        except RETRY:
            await asyncio.sleep(backoff(attempt))
            attempt += 1
