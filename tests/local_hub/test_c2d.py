"""The queues of cloud-to-device messages, on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iot_core.clock import ManualClock, iso
from iot_core.errors import HubError, SettingsError
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.c2d.cloud_to_device import Delivery
from local_hub.c2d.options import C2dOptions, FeedbackOptions
from local_hub.config import HubConfig
from local_hub.hub import Hub
from local_hub.timing import until
from transport.store import Store


class Device:
    """A receiver that keeps what it gets."""

    def __init__(self, credit: int = 50) -> None:
        self.credit = credit
        self.got: asyncio.Queue[Delivery] = asyncio.Queue()

    def deliver(self, item: Delivery) -> None:
        self.credit -= 1
        self.got.put_nowait(item)

    async def take(self) -> Delivery:
        return await asyncio.wait_for(self.got.get(), 10)


@pytest.fixture
async def d1(hub: Hub) -> str:
    await hub.registry.put_device("d1", {}, None)
    return "d1"


async def send(hub: Hub, device_id: str, *bodies: bytes, **system: str) -> None:
    for body in bodies:
        await hub.c2d.send(device_id, Message(body, {}, system))


async def received(hub: Hub, device_id: str) -> Delivery:
    delivery = await hub.c2d.receive(device_id)
    assert delivery is not None
    return delivery


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(HubError) as refusal:
        await call
    return refusal.value.name


def count(hub: Hub, device_id: str) -> int:
    document = hub.registry.get_device(device_id)["cloudToDeviceMessageCount"]
    assert document == hub.twins.get(Identity(device_id))["cloudToDeviceMessageCount"]
    return int(document)


# -- sending


async def test_a_message_reaches_the_device_with_its_properties_and_the_address_the_hub_sets(hub: Hub, d1: str) -> None:
    message = Message(b"\x00\xff", {"a": "1", "iothub-ack": "Full"}, {"contentType": "x", "messageId": "m"})
    sent = await hub.c2d.send(d1, message)
    delivery = await received(hub, d1)
    assert (delivery.sequence, delivery.enqueued, delivery.delivery_count) == (sent.sequence, hub.clock.now(), 0)
    assert delivery.message == Message(
        b"\x00\xff",
        {"iothub-ack": "Full", "a": "1"},
        {"messageId": "m", "to": "/devices/d1/messages/deviceBound", "contentType": "x"},
    )


async def test_messages_come_in_the_order_of_sending(hub: Hub, d1: str) -> None:
    await asyncio.gather(*(hub.c2d.send(d1, Message(b"%d" % n)) for n in range(50)))
    assert [(await received(hub, d1)).message.body for _ in range(50)] == [b"%d" % n for n in range(50)]


async def test_the_51st_message_is_refused_until_one_has_ended(hub: Hub, d1: str) -> None:
    await send(hub, d1, *[b"x"] * 50)
    first = await received(hub, d1)
    assert await refused(hub.c2d.send(d1, Message(b"y"))) == "DeviceMaximumQueueDepthExceeded"
    await hub.c2d.complete(d1, first.lock_token)
    await hub.c2d.send(d1, Message(b"y"))
    assert count(hub, d1) == 50


async def test_queues_of_devices_are_apart(hub: Hub, d1: str) -> None:
    await hub.registry.put_device("d2", {}, None)
    await send(hub, d1, b"1")
    assert await hub.c2d.receive("d2") is None
    token = (await received(hub, d1)).lock_token
    assert await refused(hub.c2d.complete("d2", token)) == "DeviceMessageLockLost"


async def test_an_unknown_device_is_refused(hub: Hub) -> None:
    assert await refused(hub.c2d.send("nobody", Message(b""))) == "DeviceNotFound"
    assert await refused(hub.c2d.purge("nobody")) == "DeviceNotFound"


async def test_64_kib_are_allowed_and_no_more(hub: Hub, d1: str) -> None:
    await send(hub, d1, b"x" * 65_536)
    assert await refused(hub.c2d.send(d1, Message(b"x" * 65_536, {"a": ""}))) == "MessageTooLarge"


@pytest.mark.parametrize(
    "message",
    [
        Message(b"", {"iothub-ack": "maybe"}),
        Message(b"", {"$.mid": "x"}),
        Message(b"", {}, {"outputName": "x"}),
        Message(b"", {}, {"expiry": "soon"}),
    ],
)
async def test_what_no_cloud_to_device_message_has_is_refused(hub: Hub, d1: str, message: Message) -> None:
    assert await refused(hub.c2d.send(d1, message)) == "ArgumentInvalid"
    assert await hub.c2d.receive(d1) is None


@pytest.mark.parametrize("ahead", [-1, 0, 2 * 24 * 3600 + 1])
async def test_an_expiry_that_is_over_or_over_two_days_ahead_is_refused(hub: Hub, d1: str, ahead: float) -> None:
    message = Message(b"", {}, {"expiry": iso(hub.clock.now() + ahead)})
    assert await refused(hub.c2d.send(d1, message)) == "InvalidMessageExpiryTime"


# -- expiry


async def test_a_message_lives_one_hour_unless_it_says_otherwise(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, d1, b"default")
    await send(hub, d1, b"own", expiry=iso(clock.now() + 7200))
    clock.advance(3600)
    assert (await received(hub, d1)).message.body == b"own"


async def test_an_expired_message_leaves_the_queue_though_nobody_asks(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, d1, b"x")
    assert count(hub, d1) == 1
    clock.advance(3600)
    assert await until(clock, clock.monotonic() + 1, lambda: count(hub, d1) == 0)


async def test_a_locked_message_may_be_completed_after_its_time(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, d1, b"x", expiry=iso(clock.now() + 10))
    delivery = await received(hub, d1)
    clock.advance(30)
    await hub.c2d.complete(d1, delivery.lock_token)
    assert count(hub, d1) == 0


# -- locks


async def test_a_lock_hides_a_message_for_sixty_seconds(hub: Hub, d1: str, clock: ManualClock) -> None:
    await send(hub, d1, b"x")
    first = await received(hub, d1)
    clock.advance(59)
    assert await hub.c2d.receive(d1) is None
    clock.advance(1)
    second = await received(hub, d1)
    assert (second.sequence, second.delivery_count) == (first.sequence, 0)
    assert await refused(hub.c2d.complete(d1, first.lock_token)) == "DeviceMessageLockLost"


@pytest.mark.parametrize("settle", ["complete", "reject"])
async def test_a_settled_message_is_gone_and_its_token_too(hub: Hub, d1: str, settle: str) -> None:
    await send(hub, d1, b"x")
    token = (await received(hub, d1)).lock_token
    assert count(hub, d1) == 1
    await getattr(hub.c2d, settle)(d1, token)
    assert count(hub, d1) == 0
    assert await refused(hub.c2d.complete(d1, token)) == "DeviceMessageLockLost"


async def test_an_abandoned_message_comes_again_first_until_the_maximum_is_reached(hub: Hub, d1: str) -> None:
    await send(hub, d1, b"a", b"b")
    for earlier in range(10):
        delivery = await received(hub, d1)
        assert (delivery.message.body, delivery.delivery_count) == (b"a", earlier)
        await hub.c2d.abandon(d1, delivery.lock_token)
    assert (await received(hub, d1)).message.body == b"b"


async def test_a_purge_ends_all_messages_locked_or_not(hub: Hub, d1: str) -> None:
    await send(hub, d1, b"a", b"b")
    token = (await received(hub, d1)).lock_token
    assert await hub.c2d.purge(d1) == 2
    assert (count(hub, d1), await hub.c2d.purge(d1)) == (0, 0)
    assert await refused(hub.c2d.complete(d1, token)) == "DeviceMessageLockLost"


async def test_a_deleted_device_takes_its_messages_with_it(hub: Hub, d1: str) -> None:
    await send(hub, d1, b"x")
    await hub.registry.delete_device(d1, "*")
    await hub.registry.put_device(d1, {}, None)
    assert (count(hub, d1), await hub.c2d.receive(d1)) == (0, None)


# -- devices that are connected


async def test_a_device_gets_what_waited_and_then_what_comes(hub: Hub, d1: str) -> None:
    device = Device()
    await send(hub, d1, b"1", b"2")
    hub.c2d.attach(d1, device)
    assert [(await device.take()).message.body for _ in range(2)] == [b"1", b"2"]
    await send(hub, d1, b"3")
    assert (await device.take()).message.body == b"3"


async def test_no_more_is_handed_out_than_the_device_takes(hub: Hub, d1: str) -> None:
    device = Device(credit=1)
    hub.c2d.attach(d1, device)
    await send(hub, d1, b"1", b"2")
    await device.take()
    assert (await received(hub, d1)).message.body == b"2"


async def test_a_device_with_more_credit_gets_the_next(hub: Hub, d1: str) -> None:
    device = Device(credit=1)
    hub.c2d.attach(d1, device)
    await send(hub, d1, b"1", b"2")
    await device.take()
    device.credit = 1
    hub.c2d.wake(d1)
    assert (await device.take()).message.body == b"2"


async def test_what_a_device_does_not_settle_comes_to_it_again(hub: Hub, d1: str, clock: ManualClock) -> None:
    device = Device()
    hub.c2d.attach(d1, device)
    await send(hub, d1, b"x")
    first = await device.take()
    clock.advance(60)
    again = await device.take()
    assert (again.sequence, again.delivery_count) == (first.sequence, 0)


async def test_what_a_connection_held_when_it_went_goes_to_the_next(hub: Hub, d1: str) -> None:
    first, second = Device(), Device()
    hub.c2d.attach(d1, first)
    await send(hub, d1, b"1", b"2")
    held = [await first.take(), await first.take()]
    hub.c2d.detach(d1, first)
    hub.c2d.release(d1, [delivery.lock_token for delivery in held])
    hub.c2d.attach(d1, second)
    assert [(await second.take()).message.body for _ in range(2)] == [b"1", b"2"]


async def test_a_device_that_went_while_its_message_was_taken_loses_nothing(hub: Hub, d1: str) -> None:
    gone, device = Device(), Device()
    await send(hub, d1, b"x")
    hub.c2d.attach(d1, gone)
    await asyncio.sleep(0)  # the message is being taken from here on
    hub.c2d.detach(d1, gone)
    hub.c2d.attach(d1, device)
    assert (await device.take()).message.body == b"x"
    assert gone.got.empty()


# -- durability


@pytest.fixture
async def restart(open_hub: Callable[[], Awaitable[Hub]]) -> AsyncIterator[Callable[[], Awaitable[Hub]]]:
    """Starts a hub of the test's own; called again, it stops that one before."""
    started: list[Hub] = []

    async def start() -> Hub:
        await stop()
        started.append(await open_hub())
        return started[-1]

    async def stop() -> None:
        if started:
            await started[-1].stop()
            await started[-1].store.close()

    yield start
    await stop()


async def test_a_restart_keeps_messages_their_order_and_the_locks_of_https(
    restart: Callable[[], Awaitable[Hub]],
) -> None:
    hub = await restart()
    await hub.registry.put_device("d1", {}, None)
    await send(hub, "d1", b"1", b"2", b"3")
    first, second = await received(hub, "d1"), await received(hub, "d1")
    await hub.c2d.abandon("d1", second.lock_token)
    hub = await restart()
    assert count(hub, "d1") == 3
    second = await received(hub, "d1")
    assert (second.message.body, second.delivery_count) == (b"2", 1)
    await hub.c2d.complete("d1", first.lock_token)
    assert count(hub, "d1") == 2


async def test_a_restart_frees_what_connections_had_locked(restart: Callable[[], Awaitable[Hub]]) -> None:
    hub, device = await restart(), Device()
    await hub.registry.put_device("d1", {}, None)
    hub.c2d.attach("d1", device)
    await send(hub, "d1", b"1")
    await device.take()
    hub.c2d.detach("d1", device)
    hub = await restart()
    assert (await received(hub, "d1")).message.body == b"1"


async def test_nothing_is_acknowledged_or_handed_out_before_it_is_on_disk(
    hub: Hub, d1: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, device, hold = hub.store, Device(), asyncio.Event()
    write = store.write

    async def slow(work: Any, *, after: Any = None) -> Any:
        await hold.wait()
        return await write(work, after=after)

    hub.c2d.attach(d1, device)
    monkeypatch.setattr(store, "write", slow)
    sending = asyncio.create_task(hub.c2d.send(d1, Message(b"x")))
    await asyncio.wait({sending}, timeout=0.05)
    assert not sending.done()
    assert device.got.empty()
    hold.set()
    await sending
    assert (await device.take()).message.body == b"x"


# -- options


@pytest.mark.parametrize(
    "options",
    [{"default_ttl_s": 59}, {"default_ttl_s": 172_801}, {"max_delivery_count": 0}, {"max_delivery_count": 101}],
)
def test_options_outside_the_service_s_ranges_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="must be from"):
        C2dOptions(**options)


@pytest.mark.parametrize("lock_s", [4, 301])
def test_the_lock_of_feedback_has_its_range_too(lock_s: int) -> None:
    with pytest.raises(SettingsError, match="from 5 to 300"):
        FeedbackOptions(lock_s=lock_s)


async def test_options_are_those_of_the_hub_s_configuration(tmp_path: Path, clock: ManualClock) -> None:
    options = C2dOptions(default_ttl_s=60, max_delivery_count=1)
    store = Store.open(tmp_path / "options.db", schema=Hub.schema())
    hub = Hub(store, clock, HubConfig(home=tmp_path, cloud_to_device=options))
    await hub.start()
    await hub.registry.put_device("d1", {}, None)
    await send(hub, "d1", b"1", b"2")
    await hub.c2d.abandon("d1", (await received(hub, "d1")).lock_token)
    assert count(hub, "d1") == 1
    clock.advance(60)
    assert await hub.c2d.receive("d1") is None
    await hub.stop()
    await store.close()
