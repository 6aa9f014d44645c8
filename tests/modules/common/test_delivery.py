from __future__ import annotations

import pytest

from device.errors import ConnectionLostError, HubRefusedError
from iot_core.message import Message
from modules.common import delivery
from modules.common.delivery import backoff, deliver


class FlakySender:
    """Fails with each of `failures`, then takes messages."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.sent: list[tuple[bytes, str]] = []

    async def __call__(self, message: Message, output: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((message.body, output))


async def test_a_lost_connection_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.0)
    sender = FlakySender(ConnectionLostError("gone"), ConnectionLostError("gone"))
    await deliver(sender, Message(b"x"), "out")
    assert sender.sent == [(b"x", "out")]


async def test_a_refusal_is_not_tried_again() -> None:
    sender = FlakySender(HubRefusedError("too large"))
    with pytest.raises(HubRefusedError):
        await deliver(sender, Message(b"x"), "out")


def test_waits_grow_to_a_limit() -> None:
    waits = [backoff(attempt) for attempt in range(100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (delivery.FIRST_WAIT_S, delivery.LONGEST_WAIT_S)
