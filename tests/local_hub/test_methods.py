from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.hub import Hub

D1 = Identity("d1")
REBOOT = {"methodName": "reboot", "payload": {"in": 5}}


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


@pytest.fixture(autouse=True)
async def device(hub: Hub) -> None:
    await hub.registry.put_device("d1", {}, None)


async def test_a_call_reaches_the_device_and_its_answer_comes_back(hub: Hub, connect: Any) -> None:
    link = connect("d1")
    assert await hub.methods.invoke(D1, REBOOT) == {"status": 200, "payload": {"ok": True}}
    assert link.called == [("reboot", b'{"in":5}')]


async def test_payloads_may_be_absent_in_both_directions(hub: Hub, connect: Any) -> None:
    link = connect("d1")

    async def empty(_name: str, _payload: bytes) -> tuple[int, bytes]:
        return 204, b""

    link.answer = empty
    assert await hub.methods.invoke(D1, {"methodName": "ping"}) == {"status": 204, "payload": None}
    assert link.called == [("ping", b"")]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"methodName": ""},
        {"methodName": "a", "responseTimeoutInSeconds": 4},
        {"methodName": "a", "responseTimeoutInSeconds": 301},
        {"methodName": "a", "responseTimeoutInSeconds": True},
        {"methodName": "a", "connectTimeoutInSeconds": -1},
        {"methodName": "a", "connectTimeoutInSeconds": 31},
        {"methodName": "a", "payload": "x" * 140_000},
    ],
)
async def test_a_bad_call_is_refused(hub: Hub, connect: Any, body: Any) -> None:
    link = connect("d1")
    with refusal("ArgumentInvalid"):
        await hub.methods.invoke(D1, body)
    assert link.called == []


async def test_an_unknown_identity_is_not_found(hub: Hub) -> None:
    for identity in (Identity("nobody"), Identity("d1", "nothing")):
        with refusal("DeviceNotFound"):
            await hub.methods.invoke(identity, REBOOT)


async def test_a_device_that_is_away_or_does_not_listen_is_not_online(hub: Hub, connect: Any) -> None:
    with refusal("DeviceNotOnline"):
        await hub.methods.invoke(D1, REBOOT)
    connect("d1").accepts_methods = False
    with refusal("DeviceNotOnline"):
        await hub.methods.invoke(D1, REBOOT)


async def test_a_call_waits_for_the_device_within_the_connect_timeout(hub: Hub, connect: Any) -> None:
    call = asyncio.ensure_future(hub.methods.invoke(D1, {**REBOOT, "connectTimeoutInSeconds": 20}))
    await asyncio.sleep(0)
    link = connect("d1")
    assert (await call)["status"] == 200
    assert len(link.called) == 1


async def test_the_connect_timeout_is_of_the_hubs_clock(hub: Hub, clock: ManualClock) -> None:
    call = asyncio.ensure_future(hub.methods.invoke(D1, {**REBOOT, "connectTimeoutInSeconds": 20}))
    await asyncio.sleep(0)
    clock.advance(21)
    with refusal("DeviceNotOnline"):
        await call


async def test_no_answer_is_a_gateway_timeout(hub: Hub, connect: Any, clock: ManualClock) -> None:
    link = connect("d1")
    link.answer = link.silent
    call = asyncio.ensure_future(hub.methods.invoke(D1, REBOOT))
    await link.reached.wait()
    clock.advance(31)
    with refusal("GatewayTimeout"):
        await call


async def test_a_link_that_goes_during_the_call_is_told(hub: Hub, connect: Any) -> None:
    link = connect("d1")
    link.answer = link.gone
    with refusal("DeviceConnectionClosedRemotely"):
        await hub.methods.invoke(D1, REBOOT)


async def test_an_answer_that_is_not_json_is_an_error(hub: Hub, connect: Any) -> None:
    async def noise(_name: str, _payload: bytes) -> tuple[int, bytes]:
        return 200, b"<html>"

    connect("d1").answer = noise
    with refusal("GenericBadRequest"):
        await hub.methods.invoke(D1, REBOOT)


async def test_a_caller_that_leaves_ends_the_call(hub: Hub, connect: Any) -> None:
    link = connect("d1")
    link.answer = link.silent
    call = asyncio.ensure_future(hub.methods.invoke(D1, REBOOT))
    await link.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_calls_are_published(hub: Hub, connect: Any) -> None:
    events = hub.events.subscribe()
    with refusal("DeviceNotOnline"):
        await hub.methods.invoke(D1, REBOOT)
    connect("d1")
    await hub.methods.invoke(D1, REBOOT)
    heard = [await anext(events) for _ in range(3)]
    assert [event["body"] for event in heard if event["source"] == "directMethod"] == [
        {"methodName": "reboot", "error": "DeviceNotOnline"},
        {"methodName": "reboot", "status": 200},
    ]
