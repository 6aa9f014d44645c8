"""A lagging query index: queries see twins as they were some seconds ago, the registry as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.identity import Identity
from local_hub.hub import Hub


@pytest.fixture
async def late(open_hub: Callable[..., Awaitable[Hub]]) -> AsyncIterator[Hub]:
    started = await open_hub(query_lag_s=5.0)
    yield started
    await started.stop()
    await started.store.close()


async def tagged(hub: Hub, where: str = "") -> dict[str, Any]:
    page = await hub.twins.query(f"SELECT deviceId, tags.n FROM devices {where}", 100, None)
    return {row["deviceId"]: row.get("n") for row in page.rows}


async def put(hub: Hub, device_id: str, number: int) -> None:
    await hub.registry.put_device(device_id, {"deviceId": device_id}, None)
    await hub.twins.patch(Identity(device_id), {"tags": {"n": number}}, None)


async def test_a_new_device_is_in_the_registry_at_once_and_in_queries_later(late: Hub, clock: ManualClock) -> None:
    await put(late, "a", 1)
    assert late.twins.get(Identity("a"))["tags"] == {"n": 1}
    assert await tagged(late) == {}
    clock.advance(5)
    assert await tagged(late) == {"a": 1}


async def test_a_changed_twin_is_found_by_what_it_was(late: Hub, clock: ManualClock) -> None:
    for number, device_id in enumerate("abc"):
        await put(late, device_id, number)
    clock.advance(5)
    await late.twins.patch(Identity("b"), {"tags": {"n": 9}}, None)
    assert await tagged(late) == {"a": 0, "b": 1, "c": 2}
    assert await tagged(late, "WHERE tags.n = 1") == {"b": 1}
    assert await tagged(late, "WHERE tags.n = 9") == {}
    clock.advance(5)
    assert await tagged(late, "WHERE tags.n = 9") == {"b": 9}


async def test_each_change_becomes_visible_by_itself(late: Hub, clock: ManualClock) -> None:
    await put(late, "a", 0)
    clock.advance(10)
    for number in (1, 2, 3):
        await late.twins.patch(Identity("a"), {"tags": {"n": number}}, None)
        clock.advance(2)
    assert await tagged(late) == {"a": 1}
    clock.advance(2)
    assert await tagged(late) == {"a": 2}
    clock.advance(2)
    assert await tagged(late) == {"a": 3}


async def test_a_deleted_device_stays_in_queries_for_a_while(late: Hub, clock: ManualClock) -> None:
    await put(late, "a", 1)
    clock.advance(5)
    await late.registry.delete_device("a", "*")
    assert await tagged(late) == {"a": 1}
    clock.advance(5)
    assert await tagged(late) == {}


async def test_pages_and_counts_lag_in_the_same_way(late: Hub, clock: ManualClock) -> None:
    for number, device_id in enumerate("abcdef"):
        await put(late, device_id, number)
    clock.advance(5)
    await late.registry.delete_device("c", "*")
    await late.registry.put_device("bb", {"deviceId": "bb"}, None)
    seen, token = list[str](), None
    while True:
        page = await late.twins.query("SELECT deviceId FROM devices", 2, token)
        seen += [row["deviceId"] for row in page.rows]
        if (token := page.continuation) is None:
            break
    assert seen == list("abcdef")
    counted = await late.twins.query("SELECT COUNT() AS many FROM devices", 10, None)
    assert counted.rows == [{"many": 6}]


async def test_modules_are_not_mixed_up_with_devices(late: Hub, clock: ManualClock) -> None:
    await put(late, "a", 1)
    await late.registry.put_module(Identity("a", "m"), {"deviceId": "a", "moduleId": "m"}, None)
    clock.advance(5)
    await late.twins.patch(Identity("a", "m"), {"tags": {"n": 2}}, None)
    page = await late.twins.query("SELECT moduleId, tags.n FROM devices.modules", 10, None)
    assert page.rows == [{"moduleId": "m"}]
    assert await tagged(late) == {"a": 1}


async def test_without_a_lag_nothing_is_kept(hub: Hub) -> None:
    await put(hub, "a", 1)
    assert await tagged(hub) == {"a": 1}
    kept = hub.store.read(lambda connection: connection.execute("SELECT COUNT(*) FROM query_backlog").fetchone())
    assert kept == (0,)
