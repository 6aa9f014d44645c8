from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Permission, Principal
from local_hub.eventhub import EARLIEST, HubMessage
from local_hub.hub import Hub

D1 = Identity("d1")
WHO = Principal(
    name="d1",
    rights=Permission.DEVICE_CONNECT,
    expires_at=0.0,
    identity=D1,
    generation_id="7",
    auth_method='{"type":"sas"}',
)
JSON = {"contentType": "application/json", "contentEncoding": "utf-8"}


def stored(hub: Hub) -> list[HubMessage]:
    readers = [hub.event_hub.open(partition_id, EARLIEST) for partition_id in hub.event_hub.partition_ids]
    return [event.message for reader in readers for event in reader.read_now(1000)]


async def test_a_message_is_on_disk_when_the_call_returns_with_the_hubs_stamps(hub: Hub) -> None:
    await hub.messaging.telemetry(D1, Message(b"\x00\n\xff", {"a": "1", "b": None}, {"messageId": "m1"}), WHO)
    (kept,) = stored(hub)
    assert kept.identity == D1
    assert kept.enqueued == hub.clock.now()
    assert kept.message == Message(
        b"\x00\n\xff",
        {"a": "1", "b": None},
        {
            "messageId": "m1",
            "connectionDeviceId": "d1",
            "authGenerationId": "7",
            "connectionAuthMethod": '{"type":"sas"}',
            "enqueuedTime": "2026-01-01T00:00:00.0000000Z",
        },
    )


async def test_a_modules_message_is_stamped_with_the_module_whatever_it_claims(hub: Hub) -> None:
    claimed = Message(b"", {}, {"connectionDeviceId": "other", "connectionModuleId": "other"})
    await hub.messaging.telemetry(Identity("d1", "m"), claimed, WHO)
    system = stored(hub)[0].message.system
    assert (system["connectionDeviceId"], system["connectionModuleId"]) == ("d1", "m")


async def test_a_message_over_256_kib_is_refused(hub: Hub) -> None:
    await hub.messaging.telemetry(D1, Message(b"x" * 262_144), WHO)
    with pytest.raises(HubError, match="MessageTooLarge"):
        await hub.messaging.telemetry(D1, Message(b"x" * 262_144, {"a": "1"}), WHO)
    assert len(stored(hub)) == 1


async def test_messages_keep_their_order_and_are_published_in_it(hub: Hub) -> None:
    events = hub.events.subscribe()
    await asyncio.gather(*(hub.messaging.telemetry(D1, Message(b"%d" % n), WHO) for n in range(50)))
    numbers = [b"%d" % n for n in range(50)]
    assert [kept.body for kept in stored(hub)] == numbers
    heard = [await anext(events) for _ in range(50)]
    assert [event["body"].encode() for event in heard] == numbers


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (Message(b'{"t":21.5}', {}, JSON), {"t": 21.5}),
        (Message(b'{"t":21.5}'), '{"t":21.5}'),
        (Message(b"{broken", {}, JSON), "{broken"),
        (Message(b"\xff\xfe"), {"base64": "//4="}),
    ],
)
async def test_an_event_shows_the_body_as_what_it_is(hub: Hub, message: Message, body: Any) -> None:
    events = hub.events.subscribe()
    await hub.messaging.telemetry(D1, message, WHO)
    event = await anext(events)
    assert (event["source"], event["deviceId"], event["body"]) == ("Telemetry", "d1", body)
    assert event["systemProperties"]["connectionDeviceId"] == "d1"


async def test_a_device_cannot_claim_to_be_a_module(hub: Hub) -> None:
    await hub.messaging.telemetry(D1, Message(b"", {}, {"connectionModuleId": "edge"}), WHO)
    assert "connectionModuleId" not in stored(hub)[0].message.system
