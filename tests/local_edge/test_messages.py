"""Store and forward: what the queues on disk promise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

import local_edge.edgehub
from iot_core.clock import ManualClock
from iot_core.message import Message
from local_edge.edgehub.messages import Delivery, MessageStore, QueuedMessage
from local_edge.edgehub.pump import Pump
from local_edge.errors import UpstreamError
from transport.store import Store

SCHEMA = Path(local_edge.edgehub.__file__).with_name("schema_v1.sql")
UP, IN = Delivery(endpoint="$upstream/a", priority=9), Delivery(endpoint="b/in", priority=9)


@pytest.fixture
async def messages(tmp_path: Path) -> AsyncIterator[MessageStore]:
    store = Store.open(tmp_path / "edgehub.db", schema=[SCHEMA])
    yield MessageStore(store)
    await store.close()


def text(number: int) -> Message:
    return Message(str(number).encode(), {"empty": None, "n": str(number)}, {"contentType": "text/plain"})


def bodies(batch: Sequence[QueuedMessage]) -> list[int]:
    return [int(item.message.body) for item in batch]


async def test_a_message_comes_back_whole(messages: MessageStore) -> None:
    await messages.add("a", text(1), [UP], now=0)
    (item,) = messages.next_batch(UP.endpoint, 0, 10)
    assert (item.sender, item.message) == ("a", text(1))


async def test_each_endpoint_has_its_own_queue_over_one_copy(messages: MessageStore) -> None:
    await messages.add("a", text(1), [UP, IN], now=0)
    (item,) = messages.next_batch(UP.endpoint, 0, 10)
    await messages.remove(UP.endpoint, [item.id])
    assert messages.endpoints() == [IN.endpoint]
    assert bodies(messages.next_batch(IN.endpoint, 0, 10)) == [1]


async def test_urgent_messages_come_first_and_in_their_order(messages: MessageStore) -> None:
    for number, priority in enumerate([9, 0, 9, 0]):
        await messages.add("a", text(number), [Delivery(endpoint="e", priority=priority)], now=0)
    batch = messages.next_batch("e", 0, 10)
    assert bodies(batch) == [1, 3]
    await messages.remove("e", [item.id for item in batch])
    assert bodies(messages.next_batch("e", 0, 10)) == [0, 2]


async def test_expired_messages_are_passed_over_and_cleaned_up(messages: MessageStore) -> None:
    await messages.add("a", text(1), [Delivery(endpoint="e", priority=0, ttl_s=60)], now=100)
    await messages.add("a", text(2), [Delivery(endpoint="e", priority=9)], now=100)
    assert bodies(messages.next_batch("e", 159, 10)) == [1]
    assert bodies(messages.next_batch("e", 160, 10)) == [2]
    assert await messages.remove_expired(160) == 1
    assert messages.count("e") == 1


async def test_a_pump_delivers_in_order_and_tries_again_after_a_failure(messages: MessageStore) -> None:
    arrived: list[int] = []
    failures = iter([True, False, True])
    done = asyncio.Event()

    async def send(batch: Sequence[QueuedMessage]) -> list[int]:
        if next(failures, False):
            raise UpstreamError("the hub is away")
        arrived.extend(bodies(batch[:2]))
        if len(arrived) >= 5:
            done.set()
        return [item.id for item in batch[:2]]

    for number in range(5):
        await messages.add("a", text(number), [IN], now=0)
    pump = Pump(IN.endpoint, messages, send, ManualClock())
    async with asyncio.timeout(10):
        await done.wait()
    await pump.close()
    assert arrived == [0, 1, 2, 3, 4]
