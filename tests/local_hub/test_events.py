from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.identity import Identity
from local_hub import events as events_module
from local_hub.events import EventStream
from local_hub.hub import Hub


async def test_every_subscriber_hears_what_is_published_after_it_came() -> None:
    stream = EventStream()
    stream.publish({"n": 0})
    one, other = stream.subscribe(), stream.subscribe()
    stream.publish({"n": 1})
    stream.publish({"n": 2})
    assert [await anext(one), await anext(one), await anext(other)] == [{"n": 1}, {"n": 2}, {"n": 1}]


async def test_a_subscriber_waits_for_the_next_event() -> None:
    stream = EventStream()
    waiting = asyncio.ensure_future(anext(stream.subscribe()))
    await asyncio.sleep(0)
    assert not waiting.done()
    stream.publish({"n": 1})
    assert await waiting == {"n": 1}


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "QUEUE_LENGTH", 3)
    stream = EventStream()
    slow = stream.subscribe()
    for number in range(5):
        stream.publish({"n": number})
    heard = [await anext(slow) for _ in range(4)]
    assert heard == [{"source": "lost", "count": 2}, {"n": 2}, {"n": 3}, {"n": 4}]


async def test_a_stream_that_nobody_hears_is_not_wanted() -> None:
    stream = EventStream()
    subscription: Any = stream.subscribe()
    assert stream.wanted
    await subscription.aclose()
    assert not stream.wanted


async def test_identities_that_come_and_go_are_published(hub: Hub) -> None:
    heard = hub.events.subscribe()
    await hub.registry.put_device("e1", {"capabilities": {"iotEdge": True}}, None)
    await hub.registry.delete_device("e1", "*")
    events = [await anext(heard) for _ in range(6)]
    assert {event["source"] for event in events} == {"deviceLifecycleEvents"}
    assert [event["properties"]["opType"] for event in events] == ["createDeviceIdentity"] * 3 + [
        "deleteDeviceIdentity"
    ] * 3
    assert [event.get("moduleId") for event in events[:3]] == [None, "$edgeAgent", "$edgeHub"]
    assert set(events[0]["body"]) == {"deviceId", "etag", "version", "properties"}
    assert events[0]["systemProperties"]["connectionDeviceId"] == Identity("e1").device_id
