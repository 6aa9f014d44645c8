from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from iot_core.errors import HubError, StoreError
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Permission, Principal
from local_hub.hub import Hub
from local_hub.intake import Sender
from transport.store import Appended

DEVICES = [Identity(f"d{number}") for number in range(6)]


def sender_of(hub: Hub, identity: Identity, **properties: str) -> Sender:
    who = Principal(name=identity.path, rights=Permission.DEVICE_CONNECT, expires_at=0.0, identity=identity)
    return hub.messaging.sender(identity, Message(b"", dict(properties)), who)


@pytest.fixture
def groups(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Appended]]:
    """What reaches the store, call by call."""
    seen: list[Sequence[Appended]] = []
    append_all = hub.store.append_all

    def watched(appends: Sequence[Appended], done: Callable[[BaseException | None], None]) -> None:
        seen.append(appends)
        append_all(appends, done)

    monkeypatch.setattr(hub.store, "append_all", watched)
    return seen


async def test_a_turns_messages_reach_the_store_together(hub: Hub, groups: list[Sequence[Appended]]) -> None:
    told: list[BaseException | None] = []
    for identity in DEVICES:
        hub.messaging.take([(sender_of(hub, identity), (b"x",))], told.append)
    assert (groups, told) == ([], [])
    await hub.messaging.drained()
    assert sum(len(one.records) for one in groups[0]) == len(told) == len(DEVICES)
    assert told == [None] * len(DEVICES)


async def test_senders_are_told_after_the_commit_and_in_order(hub: Hub) -> None:
    order: list[int] = []
    for number, identity in enumerate(DEVICES):
        hub.messaging.take([(sender_of(hub, identity), (b"x",))], lambda _error, number=number: order.append(number))
    await asyncio.sleep(0)
    assert order == []
    await hub.messaging.drained()
    assert order == list(range(len(DEVICES)))


async def test_one_sender_serves_many_messages(hub: Hub) -> None:
    events = hub.events.subscribe()
    sender = sender_of(hub, DEVICES[0], a="1")
    for body in (b"first", b"second"):
        hub.messaging.take([(sender, (body,))], lambda _error: None)
    await hub.messaging.drained()
    seen: list[Any] = [await anext(events) for _ in range(2)]
    assert [(event["body"], event["properties"]) for event in seen] == [("first", {"a": "1"}), ("second", {"a": "1"})]


async def test_the_properties_count_against_the_limit(hub: Hub) -> None:
    sender = sender_of(hub, DEVICES[0], a="1")
    hub.messaging.take([(sender, (bytes(262_142),))], lambda _error: None)
    with pytest.raises(HubError, match=r"^MessageTooLarge "):
        hub.messaging.take([(sender, (bytes(262_143),))], lambda _error: None)


async def test_a_store_that_fails_is_told_to_every_sender(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_appends: object, _done: object) -> None:
        raise StoreError("the disk is gone")

    told: list[BaseException | None] = []
    with monkeypatch.context() as patch:
        patch.setattr(hub.store, "append_all", broken)
        for identity in DEVICES:
            hub.messaging.take([(sender_of(hub, identity), (b"x",))], told.append)
        await asyncio.sleep(0)
    assert [type(error) for error in told] == [StoreError] * len(DEVICES)


async def test_a_sender_that_fails_does_not_stop_the_others(hub: Hub) -> None:
    failures: list[str] = []
    told: list[BaseException | None] = []

    def fail(_error: BaseException | None) -> None:
        raise ValueError("its connection is gone")

    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(str(context["exception"])))
    hub.messaging.take([(sender_of(hub, DEVICES[0]), (b"x",))], fail)
    hub.messaging.take([(sender_of(hub, DEVICES[1]), (b"x",))], told.append)
    await hub.messaging.drained()
    assert (failures, told) == (["its connection is gone"], [None])
