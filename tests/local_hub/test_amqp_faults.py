"""Faults and throttles over AMQP: links of devices, of services, and readers of the Event Hubs-compatible endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core import amqp
from iot_core.amqp import Accepted, AmqpValue, Data, Message, Properties, Rejected
from iot_core.clock import ManualClock
from iot_core.message import Message as HubMessage
from local_hub.controls.faults import FaultKind
from local_hub.controls.throttles import Operation
from local_hub.hub import Hub
from transport.amqp_client import AmqpClient, AmqpError, AmqpReceiver

Becomes = Callable[[Callable[[], object]], Awaitable[None]]
EVENTS, DEVICEBOUND = "/devices/d/messages/events", "/devices/d/messages/devicebound"
FEEDBACK = "messages/serviceBound/feedback"
DELAY_S = 5.0


def text(body: str, to: str | None = None) -> Message:
    return Message(body=Data((body.encode(),)), properties=Properties(to=to) if to else None)


async def is_answered(client: AmqpClient) -> bool:
    """Whether the hub has looked at what came before: it answers a request."""
    with pytest.raises(AmqpError, match="no operation"):
        await client.request("$cbs", Message(application_properties={"operation": "none"}, body=AmqpValue("")))
    return True


async def add_feedback(hub: Hub) -> None:
    """One batch of feedback: a message that a device has completed."""
    await hub.c2d.send("d", HubMessage(b"x", {"iothub-ack": "full"}, {"messageId": "m"}))
    delivery = await hub.c2d.receive("d")
    assert delivery is not None
    await hub.c2d.complete("d", delivery.lock_token)


async def reader_of(hub: Hub, client: AmqpClient) -> AmqpReceiver:
    partition = hub.event_hub.stream_of("d").rpartition("/")[2]
    return await client.receiver(f"local/ConsumerGroups/$Default/Partitions/{partition}")


# -- what goes out


@pytest.mark.parametrize("of", ["d", None])
async def test_a_message_that_a_fault_drops_comes_again_once_its_lock_is_over(
    hub: Hub, clock: ManualClock, amqp_door: Any, of: str | None
) -> None:
    client = await amqp_door.device("d")
    receiver = await client.receiver(DEVICEBOUND)
    hub.admission.faults.add(FaultKind.DROP, of)
    await hub.c2d.send("d", HubMessage(b"hello", {}, {}))
    await hub.c2d.brought("d")
    hub.admission.faults.clear()
    assert await is_answered(client)
    assert not receiver.link.unsettled
    clock.advance(60)
    assert (await receiver.receive()).message().data == b"hello"


async def test_a_message_waits_for_a_delay_of_the_hubs_clock(hub: Hub, clock: ManualClock, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    receiver = await client.receiver(DEVICEBOUND)
    hub.admission.faults.add(FaultKind.DELAY, "d", delay_s=DELAY_S)
    await hub.c2d.send("d", HubMessage(b"hello", {}, {}))
    await hub.c2d.brought("d")
    hub.admission.faults.clear()
    assert await is_answered(client)
    assert not receiver.link.unsettled
    clock.advance(DELAY_S)
    assert (await receiver.receive()).message().data == b"hello"


async def test_a_link_that_ends_before_a_delayed_message_gives_it_back(
    hub: Hub, clock: ManualClock, amqp_door: Any, becomes_true: Becomes
) -> None:
    client = await amqp_door.device("d")
    receiver = await client.receiver(DEVICEBOUND)
    hub.admission.faults.add(FaultKind.DELAY, "d", delay_s=DELAY_S)
    await hub.c2d.send("d", HubMessage(b"hello", {}, {}))
    await hub.c2d.brought("d")
    hub.admission.faults.clear()
    await receiver.detach()
    assert await is_answered(client)
    clock.advance(DELAY_S)
    again = await client.receiver(DEVICEBOUND)
    assert (await again.receive()).message().data == b"hello"


async def test_a_desired_patch_that_a_fault_drops_is_lost(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    receiver, sender = await client.receiver("/devices/d/twin"), await client.sender("/devices/d/twin")
    subscribe = {"operation": "PUT", "resource": "/notifications/twin/properties/desired"}
    await sender.send(Message(message_annotations=dict(subscribe), body=Data((b" ",))))
    await receiver.receive()
    hub.admission.faults.add(FaultKind.STALL, "d")
    identity = amqp_door.identity("d")
    await hub.twins.patch(identity, {"properties": {"desired": {"a": 1}}}, None)
    hub.admission.faults.clear()
    await hub.twins.patch(identity, {"properties": {"desired": {"b": 2}}}, None)
    assert b'"b":2' in (await receiver.receive()).message().data


async def test_feedback_waits_for_a_delay(hub: Hub, clock: ManualClock, amqp_door: Any) -> None:
    await amqp_door.device("d")
    client = await amqp_door.service()
    receiver = await client.receiver(FEEDBACK)
    faults = hub.admission.faults
    faults.add(FaultKind.DELAY, None, delay_s=DELAY_S)
    await add_feedback(hub)
    await hub.c2d.feedback.settled()
    faults.clear()
    assert await is_answered(client)
    assert not receiver.link.unsettled
    clock.advance(DELAY_S)
    receiver.settle(await receiver.receive(), amqp.ACCEPTED)


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.STALL])
async def test_feedback_that_vanished_comes_again(
    hub: Hub, clock: ManualClock, amqp_door: Any, kind: FaultKind
) -> None:
    await amqp_door.device("d")
    client = await amqp_door.service()
    receiver = await client.receiver(FEEDBACK)
    hub.admission.faults.add(kind, None)
    await add_feedback(hub)
    await hub.c2d.feedback.settled()
    hub.admission.faults.clear()
    assert await is_answered(client)
    clock.advance(60)
    assert b'"Success"' in (await receiver.receive()).message().data


async def test_a_reader_misses_the_events_that_a_fault_drops(hub: Hub, amqp_door: Any) -> None:
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    client = await amqp_door.service()
    receiver = await reader_of(hub, client)
    await sender.send(text("1"))
    assert (await receiver.receive()).message().data == b"1"
    hub.admission.faults.add(FaultKind.DROP, None)
    await hub.messaging.telemetry(amqp_door.identity("d"), HubMessage(b"2", {}, {}), amqp_door.principal("d"))
    assert await is_answered_by_reader(hub, 2)
    hub.admission.faults.clear()
    await sender.send(text("3"))
    assert (await receiver.receive()).message().data == b"3"


@pytest.mark.parametrize("end", [lambda hub, clock: hub.admission.faults.clear(), lambda hub, clock: clock.advance(60)])
async def test_a_reader_gets_what_was_stalled_when_that_ends(
    hub: Hub, clock: ManualClock, amqp_door: Any, end: Callable[[Hub, ManualClock], object]
) -> None:
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    client = await amqp_door.service()
    receiver = await reader_of(hub, client)
    await sender.send(text("1"))
    await receiver.receive()
    hub.admission.faults.add(FaultKind.STALL, None, for_s=60)
    await hub.messaging.telemetry(amqp_door.identity("d"), HubMessage(b"2", {}, {}), amqp_door.principal("d"))
    waiting = asyncio.create_task(receiver.receive())
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    end(hub, clock)
    assert (await waiting).message().data == b"2"


async def test_a_reader_waits_for_a_delay(hub: Hub, clock: ManualClock, amqp_door: Any) -> None:
    client = await amqp_door.service()
    await amqp_door.device("d")
    receiver = await reader_of(hub, client)
    hub.admission.faults.add(FaultKind.DELAY, None, delay_s=DELAY_S)
    await hub.messaging.telemetry(amqp_door.identity("d"), HubMessage(b"1", {}, {}), amqp_door.principal("d"))
    waiting = asyncio.create_task(receiver.receive())
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    clock.advance(DELAY_S)
    assert (await waiting).message().data == b"1"


async def test_a_reader_is_cut_off_by_a_disconnect_for_all(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.service()
    await amqp_door.device("d")
    receiver = await reader_of(hub, client)
    hub.admission.faults.add(FaultKind.DISCONNECT, None, for_s=60)
    await hub.messaging.telemetry(amqp_door.identity("d"), HubMessage(b"1", {}, {}), amqp_door.principal("d"))
    with pytest.raises(AmqpError, match="connection is lost"):
        await receiver.receive()


# -- log-in


@pytest.mark.parametrize(
    "address", [FEEDBACK, "messages/serviceBound/filenotifications", "local/ConsumerGroups/$Default/Partitions/0"]
)
async def test_a_refuse_fault_for_all_refuses_the_links_of_services(hub: Hub, amqp_door: Any, address: str) -> None:
    client = await amqp_door.service()
    hub.admission.faults.add(FaultKind.REFUSE, None)
    with pytest.raises(AmqpError) as caught:
        await client.receiver(address)
    assert caught.value.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize("kind", ["receiver", "sender"])
async def test_a_refuse_fault_refuses_the_links_of_its_device(hub: Hub, amqp_door: Any, kind: str) -> None:
    client, other = await amqp_door.device("d"), await amqp_door.device("other")
    hub.admission.faults.add(FaultKind.REFUSE, "d")
    with pytest.raises(AmqpError) as caught:
        await getattr(client, kind)("/devices/d/twin")
    assert caught.value.condition == "amqp:unauthorized-access"
    await getattr(other, kind)("/devices/other/twin")


async def test_a_throttle_fault_refuses_links_with_the_condition_of_the_service(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    hub.admission.faults.add(FaultKind.THROTTLE, "d")
    with pytest.raises(AmqpError, match="throttled") as caught:
        await client.sender(EVENTS)
    assert caught.value.condition == "com.microsoft:device-container-throttled"


async def test_a_link_that_is_stalled_is_let_in_when_that_ends(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    hub.admission.faults.add(FaultKind.STALL, "d")
    attaching = asyncio.create_task(client.sender(EVENTS))
    done, _ = await asyncio.wait({attaching}, timeout=0.1)
    assert not done
    hub.admission.faults.clear()
    assert isinstance(await (await attaching).send(text("x")), Accepted)


async def test_a_disconnect_fault_hangs_up_on_a_link(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    hub.admission.faults.add(FaultKind.DISCONNECT, "d", for_s=60)
    with pytest.raises(AmqpError, match="connection is lost"):
        await client.sender(EVENTS)


# -- what comes in


async def test_a_throttle_fault_rejects_telemetry_and_messages_to_the_device(hub: Hub, amqp_door: Any) -> None:
    sender = await (await amqp_door.device("d")).sender(EVENTS)
    to_device = await (await amqp_door.service()).sender("messages/devicebound")
    hub.admission.faults.add(FaultKind.THROTTLE, "d")
    for state in (await sender.send(text("x")), await to_device.send(text("x", "/devices/d/messages/devicebound"))):
        assert isinstance(state, Rejected)
        assert state.error is not None
        assert state.error.condition == "com.microsoft:device-container-throttled"


async def test_telemetry_that_a_fault_drops_is_never_settled(hub: Hub, amqp_door: Any) -> None:
    client = await amqp_door.device("d")
    sender = await client.sender(EVENTS)
    hub.admission.faults.add(FaultKind.DROP, "d")
    lost = asyncio.create_task(sender.send(text("lost")))
    await asyncio.sleep(0)
    assert await is_answered(client)
    hub.admission.faults.clear()
    assert isinstance(await sender.send(text("kept")), Accepted)
    assert not lost.done()
    lost.cancel()


# -- throttles


@pytest.fixture
def connections(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The devices whose connection was charged, in a hub that asks about everything."""
    charged: list[str | None] = []

    async def admit(device: str | None, operation: Operation | None, size: int = 0) -> None:
        if operation is Operation.CONNECTION:
            charged.append(device)

    monkeypatch.setattr(type(hub.admission), "idle", property(lambda admission: False))
    monkeypatch.setattr(hub.admission, "admit", admit)
    return charged


async def test_each_device_of_a_connection_is_charged_once(amqp_door: Any, connections: list[str | None]) -> None:
    client = await amqp_door.device("d")
    await asyncio.gather(client.sender(EVENTS), client.receiver(DEVICEBOUND), client.receiver("/devices/d/twin"))
    assert connections == ["d"]


async def test_a_device_that_comes_again_is_charged_again(amqp_door: Any, connections: list[str | None]) -> None:
    client = await amqp_door.device("d")
    sender = await client.sender(EVENTS)
    await sender.detach()
    assert await is_answered(client)
    await client.sender(EVENTS)
    assert connections == ["d", "d"]


async def test_services_are_no_device_connections(amqp_door: Any, connections: list[str | None]) -> None:
    client = await amqp_door.service()
    await client.receiver(FEEDBACK)
    assert connections == []


async def is_answered_by_reader(hub: Hub, sequence: int) -> bool:
    """Whether that many events are stored and the readers have had their turn."""
    partition = hub.event_hub.stream_of("d").rpartition("/")[2]
    for _ in range(20):
        await asyncio.sleep(0)
    return hub.event_hub.info(partition).last_sequence_number == sequence - 1
