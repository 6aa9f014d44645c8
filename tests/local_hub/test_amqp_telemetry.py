"""Telemetry over AMQP on its way to the store: what comes together is stored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from iot_core.amqp import ACCEPTED, BATCH_FORMAT, Accepted, Data, Message, Rejected, encode_message
from local_hub.eventhub import EARLIEST
from local_hub.hub import Hub
from transport.store import Appended

EVENTS = "/devices/d/messages/events"


def batch(*bodies: bytes) -> Message:
    return Message(body=Data(tuple(encode_message(Message(body=Data((body,)))) for body in bodies)))


@pytest.fixture
def commits(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each piece that reached the store had."""
    seen: list[int] = []
    append_all = hub.store.append_all

    def watched(appends: Sequence[Appended], done: Callable[[BaseException | None], None]) -> None:
        if appends:
            seen.append(sum(len(one.records) for one in appends))
        append_all(appends, done)

    monkeypatch.setattr(hub.store, "append_all", watched)
    return seen


async def stored(hub: Hub) -> list[bytes]:
    [partition] = {hub.event_hub.stream_of("d").rpartition("/")[2]}
    reader = hub.event_hub.open(partition, EARLIEST)
    return [event.message.body for event in reader.read_now(1000)]


async def test_a_batch_is_stored_in_one_piece_and_in_its_order(hub: Hub, amqp_door: Any, commits: list[int]) -> None:
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    bodies = [b"%d" % number for number in range(100)]
    assert isinstance(await sender.send(batch(*bodies), message_format=BATCH_FORMAT), Accepted)
    assert commits == [100]
    assert await stored(hub) == bodies


async def test_transfers_of_one_read_are_stored_in_one_piece(hub: Hub, amqp_door: Any, commits: list[int]) -> None:
    client = await amqp_door.device("d")
    sender = await client.sender(EVENTS)
    payload = encode_message(Message(body=Data((b"x",))))
    deliveries = [sender.link.send(payload) for _ in range(50)]
    client.flush()
    assert isinstance(await sender.send(Message(body=Data((b"last",)))), Accepted)
    assert all(delivery.state == ACCEPTED for delivery in deliveries)
    assert commits[0] >= 50
    assert len(await stored(hub)) == 51


async def test_of_a_batch_with_a_message_too_large_nothing_is_stored(hub: Hub, amqp_door: Any) -> None:
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    state = await sender.send(batch(b"small", bytes(256 * 1024 + 1)), message_format=BATCH_FORMAT)
    assert isinstance(state, Rejected)
    assert state.error is not None
    assert state.error.condition == "amqp:link:message-size-exceeded"
    assert await stored(hub) == []


async def test_listeners_hear_every_message_of_a_batch(hub: Hub, amqp_door: Any) -> None:
    events = hub.events.subscribe()
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    await sender.send(batch(b"1", b"2", b"3"), message_format=BATCH_FORMAT)
    heard: list[Any] = []
    while len(heard) < 3:
        event = await anext(events)
        if event["source"] == "Telemetry":
            heard.append(event["body"])
    assert heard == ["1", "2", "3"]
