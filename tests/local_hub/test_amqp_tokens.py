"""Links live as long as the token that let them in, by the hub's clock; a new token for the same audience renews it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iot_core import sas
from iot_core.amqp import Accepted, AmqpValue, Data, Message
from iot_core.clock import ManualClock
from iot_core.sas import MAX_CLOCK_SKEW_S
from local_hub.hub import Hub
from transport.amqp_client import AmqpClient, AmqpError
from transport.amqp_tokens import LIFETIME_S, RENEW_BEFORE_S, TokenKeeper

SERVICE_LINKS = [
    "messages/serviceBound/feedback",
    "messages/serviceBound/filenotifications",
    "local/ConsumerGroups/$Default/Partitions/0",
]
DEVICE_LINKS = ["messages/devicebound", "twin", "methods/devicebound"]
AUDIENCE = "127.0.0.1"


@pytest.mark.parametrize("address", SERVICE_LINKS)
async def test_a_service_s_receiver_ends_when_its_token_does(clock: ManualClock, amqp_door: Any, address: str) -> None:
    receiver = await (await amqp_door.service()).receiver(address)
    clock.advance(3600 + MAX_CLOCK_SKEW_S - 1)
    assert receiver.link.is_open
    clock.advance(1)
    with pytest.raises(AmqpError, match="token of this link has expired") as caught:
        await receiver.receive()
    assert caught.value.condition == "amqp:unauthorized-access"


@pytest.mark.parametrize("address", SERVICE_LINKS)
async def test_a_renewed_token_keeps_a_service_s_receiver(
    hub: Hub, clock: ManualClock, amqp_door: Any, address: str
) -> None:
    client: AmqpClient = await amqp_door.service()
    receiver = await client.receiver(address)
    clock.advance(3500)
    await client.put_token(AUDIENCE, amqp_door.service_token(amqp_door.expiry()))
    clock.advance(1000)
    assert await is_answered(client)
    assert receiver.link.is_open


@pytest.mark.parametrize("rest", DEVICE_LINKS)
async def test_a_device_s_receiver_ends_when_its_token_does(clock: ManualClock, amqp_door: Any, rest: str) -> None:
    receiver = await (await amqp_door.device("d")).receiver(f"/devices/d/{rest}")
    clock.advance(3600 + MAX_CLOCK_SKEW_S)
    with pytest.raises(AmqpError) as caught:
        await receiver.receive()
    assert caught.value.condition == "amqp:unauthorized-access"


async def test_a_sender_ends_when_its_token_does(clock: ManualClock, amqp_door: Any) -> None:
    client: AmqpClient = await amqp_door.device("d")
    sender = await client.sender("/devices/d/messages/events")
    assert isinstance(await sender.send(Message(body=Data((b"x",)))), Accepted)
    clock.advance(3600 + MAX_CLOCK_SKEW_S)
    assert await is_answered(client)
    with pytest.raises(AmqpError, match="expired"):
        await sender.send(Message(body=Data((b"x",))))


async def test_the_keeper_puts_a_new_token_before_the_old_one_ends(
    clock: ManualClock, amqp_door: Any, becomes_true: Callable[[Callable[[], object]], Awaitable[None]]
) -> None:
    signed: list[int] = []

    def sign(expiry: int) -> str:
        signed.append(expiry)
        return str(amqp_door.service_token(expiry))

    client: AmqpClient = await amqp_door.connect()
    start = int(clock.now())
    async with TokenKeeper(client, AUDIENCE, sign, clock):
        receiver = await client.receiver("messages/serviceBound/feedback")
        for _ in range(3):
            renewals = len(signed)
            clock.advance(LIFETIME_S - RENEW_BEFORE_S)
            await becomes_true(lambda renewals=renewals: len(signed) > renewals)
            assert await is_answered(client)
        assert receiver.link.is_open
    assert signed == [start + LIFETIME_S + number * (LIFETIME_S - RENEW_BEFORE_S) for number in range(4)]


async def test_a_renewal_that_is_refused_is_tried_again(
    clock: ManualClock, amqp_door: Any, becomes_true: Callable[[Callable[[], object]], Awaitable[None]]
) -> None:
    tokens = ["good", "bad", "bad", "good"]
    used: list[str] = []

    def sign(expiry: int) -> str:
        used.append(tokens[len(used)])
        return (
            str(amqp_door.service_token(expiry))
            if used[-1] == "good"
            else sas.sign("127.0.0.1", "eA==", expiry, "service")
        )

    client: AmqpClient = await amqp_door.connect()
    async with TokenKeeper(client, AUDIENCE, sign, clock):
        receiver = await client.receiver("messages/serviceBound/feedback")
        clock.advance(LIFETIME_S - RENEW_BEFORE_S)
        for count in (2, 3, 4):
            await becomes_true(lambda count=count: len(used) >= count)
            assert await is_answered(client)
            clock.advance(30)
        clock.advance(RENEW_BEFORE_S + MAX_CLOCK_SKEW_S)
        assert await is_answered(client)
        assert receiver.link.is_open


async def test_a_first_token_that_is_refused_is_an_error(clock: ManualClock, amqp_door: Any) -> None:
    client: AmqpClient = await amqp_door.connect()
    with pytest.raises(AmqpError, match="401"):
        async with TokenKeeper(client, AUDIENCE, lambda expiry: sas.sign("h", "eA==", expiry, "service"), clock):
            raise AssertionError


async def is_answered(client: AmqpClient) -> bool:
    """Whether the hub has looked at everything that came before: it answers a request."""
    with pytest.raises(AmqpError, match="no operation"):
        await client.request("$cbs", Message(application_properties={"operation": "none"}, body=AmqpValue("")))
    return True
