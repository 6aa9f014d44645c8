from __future__ import annotations

from typing import Any

import pytest

from iot_core.identity import Identity
from local_hub.hub import Hub

D1 = Identity("d1")


@pytest.fixture(autouse=True)
async def device(hub: Hub) -> None:
    await hub.registry.put_device("d1", {}, None)
    await hub.registry.put_module(Identity("d1", "m"), {}, None)


async def test_modules_are_no_connected_devices(hub: Hub, connect: Any) -> None:
    connect("d1")
    connect("d1", "m")
    assert hub.sessions.connected_count == 1


async def test_a_second_link_takes_over(hub: Hub, connect: Any) -> None:
    first, second = connect("d1"), connect("d1")
    assert (len(first.closed), len(second.closed)) == (1, 0)
    hub.sessions.detach(D1, first)
    assert hub.sessions.get(D1) is second


async def test_connecting_and_disconnecting_are_published_with_growing_numbers(hub: Hub, connect: Any) -> None:
    events = hub.events.subscribe()
    link = connect("d1")
    connect_again = connect("d1")
    hub.sessions.detach(D1, link)
    hub.sessions.detach(D1, connect_again)
    seen = [await anext(events), await anext(events)]
    assert [event["properties"]["opType"] for event in seen] == ["deviceConnected", "deviceDisconnected"]
    assert {event["source"] for event in seen} == {"deviceConnectionStateEvents"}
    numbers = [event["body"]["sequenceNumber"] for event in seen]
    assert numbers[0] < numbers[1]
    assert {len(number) for number in numbers} == {64}


async def test_stopping_the_hub_closes_every_link(hub: Hub, connect: Any) -> None:
    links = [connect("d1"), connect("d1", "m")]
    await hub.stop()
    assert [len(link.closed) for link in links] == [1, 1]
    assert hub.registry.get_device("d1")["connectionStateUpdatedTime"] == "2026-01-01T00:00:00.0000000Z"
