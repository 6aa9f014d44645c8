"""Feedback on cloud-to-device messages, on a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from iot_core.clock import ManualClock, iso
from iot_core.errors import HubError
from iot_core.message import Message
from local_hub.c2d.cloud_to_device import FeedbackBatch
from local_hub.hub import Hub


@pytest.fixture
async def d1(hub: Hub) -> str:
    await hub.registry.put_device("d1", {}, None)
    return "d1"


async def send(hub: Hub, ack: str, message_id: str = "m", **system: str) -> None:
    message = Message(b"x", {"iothub-ack": ack}, {"messageId": message_id, **system})
    await hub.c2d.send("d1", message)


async def end(hub: Hub, how: str) -> None:
    """End the oldest message."""
    if how == "purge":
        await hub.c2d.purge("d1")
        return
    delivery = await hub.c2d.receive("d1")
    assert delivery is not None
    await getattr(hub.c2d, how)("d1", delivery.lock_token)


async def feedback(hub: Hub) -> list[dict[str, Any]]:
    """The records of the next batch, which is completed; none when there is no batch."""
    batch = await hub.c2d.feedback.receive()
    if batch is None:
        return []
    await hub.c2d.feedback.complete(batch.lock_token)
    records: list[dict[str, Any]] = json.loads(batch.body)
    return records


async def locked(hub: Hub) -> FeedbackBatch:
    batch = await hub.c2d.feedback.receive()
    assert batch is not None
    return batch


async def test_a_record_says_how_a_message_ended(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, "full", "the-message")
    clock.advance(5)
    await end(hub, "complete")
    assert await feedback(hub) == [
        {
            "originalMessageId": "the-message",
            "enqueuedTimeUtc": iso(clock.now()),
            "statusCode": "Success",
            "description": "Success",
            "deviceId": "d1",
            "deviceGenerationId": hub.registry.get_device(d1)["generationId"],
        }
    ]


@pytest.mark.parametrize(
    ("ack", "how", "code"),
    [
        ("positive", "complete", "Success"),
        ("positive", "reject", None),
        ("negative", "complete", None),
        ("negative", "reject", "Rejected"),
        ("negative", "purge", "Purged"),
        ("full", "reject", "Rejected"),
        ("none", "complete", None),
        ("none", "reject", None),
    ],
)
async def test_feedback_is_what_the_sender_asked_for(hub: Hub, d1: str, ack: str, how: str, code: str | None) -> None:
    await send(hub, ack)
    await end(hub, how)
    assert [record["statusCode"] for record in await feedback(hub)] == ([code] if code else [])


async def test_an_expired_message_is_told(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, "negative", expiry=iso(clock.now() + 10))
    clock.advance(10)
    assert [record["statusCode"] for record in await feedback(hub)] == ["Expired"]


async def test_a_message_abandoned_too_often_is_told(hub: Hub, d1: str) -> None:
    await send(hub, "full")
    for _ in range(10):
        await end(hub, "abandon")
    assert [record["statusCode"] for record in await feedback(hub)] == ["DeliveryCountExceeded"]


async def test_batches_are_fifteen_seconds_apart(hub: Hub, d1: str, clock: ManualClock) -> None:
    for number in range(3):
        await send(hub, "full", str(number))
        await end(hub, "complete")
    assert [record["originalMessageId"] for record in await feedback(hub)] == ["0"]
    assert await feedback(hub) == []
    clock.advance(15)
    assert [record["originalMessageId"] for record in await feedback(hub)] == ["1", "2"]


async def test_sixty_four_records_make_a_batch_at_once(hub: Hub, d1: str) -> None:
    for number in range(66):
        await send(hub, "full", str(number))
        await end(hub, "complete")
    assert len(await feedback(hub)) == 1
    assert [record["originalMessageId"] for record in await feedback(hub)] == [str(n) for n in range(1, 65)]
    assert await feedback(hub) == []


async def test_a_batch_is_locked_and_comes_again_uncounted_when_the_lock_runs_out(
    hub: Hub, d1: str, clock: ManualClock
) -> None:
    await send(hub, "full")
    await end(hub, "complete")
    first = await locked(hub)
    assert await hub.c2d.feedback.receive() is None
    clock.advance(60)
    again = await locked(hub)
    assert (again.sequence, again.delivery_count, again.body) == (first.sequence, 0, first.body)
    with pytest.raises(HubError, match="DeviceMessageLockLost"):
        await hub.c2d.feedback.complete(first.lock_token)


async def test_a_batch_abandoned_ten_times_is_dropped(hub: Hub, d1: str) -> None:
    await send(hub, "full")
    await end(hub, "complete")
    for earlier in range(10):
        batch = await locked(hub)
        assert batch.delivery_count == earlier
        await hub.c2d.feedback.abandon(batch.lock_token)
    assert await hub.c2d.feedback.receive() is None


async def test_a_batch_lives_an_hour(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, "full")
    await end(hub, "complete")
    clock.advance(3600)
    assert await feedback(hub) == []


async def test_feedback_goes_with_its_device(hub: Hub, d1: str, clock: ManualClock) -> None:
    for _ in range(2):
        await send(hub, "full")
        await end(hub, "complete")
    await hub.registry.delete_device(d1, "*")
    clock.advance(15)
    assert await feedback(hub) == []


async def test_a_service_that_listens_gets_batches_as_they_come(hub: Hub, d1: str, clock: ManualClock) -> None:
    class Service:
        credit = 10
        got: asyncio.Queue[FeedbackBatch] = asyncio.Queue()

        def deliver(self, item: FeedbackBatch) -> None:
            self.got.put_nowait(item)

    service = Service()
    hub.c2d.feedback.attach(service)
    for number in range(2):
        await send(hub, "full", str(number))
        await end(hub, "complete")
    first = await asyncio.wait_for(service.got.get(), 10)
    clock.advance(15)
    second = await asyncio.wait_for(service.got.get(), 10)
    assert [json.loads(batch.body)[0]["originalMessageId"] for batch in (first, second)] == ["0", "1"]
    hub.c2d.feedback.detach(service)
    hub.c2d.feedback.release([first.lock_token, second.lock_token])
    await hub.c2d.feedback.settled()
    assert len(await feedback(hub)) == 1
