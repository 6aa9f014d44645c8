"""The queue of file notifications, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from local_hub.files.notifications import FileNotification, FileNotifications
from local_hub.files.options import FileUploadOptions, NotificationOptions
from local_hub.hub import Hub


@pytest.fixture
def queue(hub: Hub) -> FileNotifications:
    return hub.files.notifications


async def add(queue: FileNotifications, name: str = "a") -> None:
    await queue.add(lambda _now: name.encode(), "d1", also=lambda _connection: None)


async def locked(queue: FileNotifications) -> FileNotification:
    found = await queue.receive()
    assert found is not None
    return found


async def bodies(queue: FileNotifications) -> list[bytes]:
    return [item.body for item in await queue.waiting(100)]


async def test_they_come_in_order_and_one_at_a_time(queue: FileNotifications) -> None:
    for name in ("a", "b"):
        await add(queue, name)
    assert [(await locked(queue)).body for _ in range(2)] == [b"a", b"b"]
    assert await queue.receive() is None


@pytest.mark.parametrize("how", ["complete", "reject"])
async def test_one_that_is_settled_is_gone(queue: FileNotifications, how: str) -> None:
    await add(queue)
    await getattr(queue, how)((await locked(queue)).lock_token)
    assert await bodies(queue) == []


async def test_one_that_is_abandoned_comes_again_and_counts(queue: FileNotifications) -> None:
    await add(queue)
    await queue.abandon((await locked(queue)).lock_token)
    assert (await locked(queue)).delivery_count == 1


async def test_one_that_is_abandoned_too_often_is_dropped(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    options = FileUploadOptions(notifications=NotificationOptions(max_delivery_count=2))
    hub = await open_hub(file_upload=options)
    queue = hub.files.notifications
    await add(queue)
    for _ in range(2):
        await queue.abandon((await locked(queue)).lock_token)
    assert await queue.receive() is None
    await hub.stop()
    await hub.store.close()


async def test_a_lock_ends_after_a_minute_and_does_not_count(queue: FileNotifications, clock: ManualClock) -> None:
    await add(queue)
    token = (await locked(queue)).lock_token
    clock.advance(60)
    again = await locked(queue)
    assert again.delivery_count == 0
    with pytest.raises(HubError, match="DeviceMessageLockLost"):
        await queue.complete(token)


async def test_they_live_an_hour(queue: FileNotifications, clock: ManualClock) -> None:
    await add(queue)
    clock.advance(3600)
    assert await queue.receive() is None


async def test_they_outlive_a_restart_and_so_does_a_lock(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub()
    for name in ("a", "b"):
        await add(hub.files.notifications, name)
    token = (await locked(hub.files.notifications)).lock_token
    await hub.stop()
    await hub.store.close()
    again = await open_hub()
    assert (await locked(again.files.notifications)).body == b"b"
    await again.files.notifications.complete(token)
    await again.stop()
    await again.store.close()


async def test_they_may_be_switched_off(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub(file_upload=FileUploadOptions(notifications=NotificationOptions(enabled=False)))
    await add(hub.files.notifications)
    assert await bodies(hub.files.notifications) == []
    await hub.stop()
    await hub.store.close()


class Service:
    """A receiver with credit for two."""

    def __init__(self) -> None:
        self.credit = 2
        self.got: asyncio.Queue[FileNotification] = asyncio.Queue()

    def deliver(self, item: FileNotification) -> None:
        self.credit -= 1
        self.got.put_nowait(item)


async def test_a_service_that_listens_gets_them_as_they_come_and_as_its_credit_goes(queue: FileNotifications) -> None:
    service = Service()
    await add(queue, "a")
    queue.attach(service)
    for name in ("b", "c"):
        await add(queue, name)
    got = [await asyncio.wait_for(service.got.get(), 10) for _ in range(2)]
    await queue.settled()
    assert ([item.body for item in got], service.got.empty()) == ([b"a", b"b"], True)
    service.credit = 1
    queue.wake()
    assert (await asyncio.wait_for(service.got.get(), 10)).body == b"c"
    queue.detach(service)


async def test_what_a_connection_held_goes_back_uncounted(queue: FileNotifications) -> None:
    service = Service()
    queue.attach(service)
    await add(queue)
    item = await asyncio.wait_for(service.got.get(), 10)
    queue.detach(service)
    queue.release([item.lock_token])
    await queue.settled()
    assert (await locked(queue)).delivery_count == 0


async def test_what_connections_held_is_free_after_a_restart(open_hub: Callable[..., Awaitable[Hub]]) -> None:
    hub = await open_hub()
    service: Any = Service()
    hub.files.notifications.attach(service)
    await add(hub.files.notifications)
    await asyncio.wait_for(service.got.get(), 10)
    hub.files.notifications.detach(service)
    await hub.stop()
    await hub.store.close()
    again = await open_hub()
    assert await again.files.notifications.receive() is not None
    await again.stop()
    await again.store.close()
