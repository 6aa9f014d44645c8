"""hub_tools.monitor and `edgeyard monitor`, on a local hub that they know by its connection string alone."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from edgeyard.admin import AdminDoor
from hub_tools.monitor import NoConsumerGroupError, watch
from iot_core.amqp import Properties
from iot_core.clock import OffsetClock, SystemClock
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError
from iot_core.sas import MAX_CLOCK_SKEW_S
from tests.local_hub.fronts.amqp_bench import connected, device, is_accepted, text
from transport.amqp_client import AmqpClient
from transport.amqp_tokens import LIFETIME_S, RENEW_BEFORE_S


async def send(hub: Any, found: Any, *bodies: str) -> None:
    properties = Properties(content_type="application/json", content_encoding="utf-8")
    async with await device(hub, found) as client:
        sender = await client.sender(f"/devices/{found.identity.device_id}/messages/events")
        for body in bodies:
            assert is_accepted(await sender.send(text(body, properties=properties)))


async def test_events_are_found_by_the_hubs_own_name(hub: Any, rest: Any) -> None:
    found = await rest.device()
    async with watch(hub.owner, ca_file=hub.ca_file) as events:
        await send(hub, found, '{"t": 1}')
        async for event in events:
            if event["deviceId"] == found.identity.device_id:
                break
    assert (event["source"], event["body"]) == ("Telemetry", {"t": 1})
    assert event["systemProperties"] == {"contentType": "application/json", "contentEncoding": "utf-8"}
    assert event["time"].endswith("Z")


async def test_watching_outlives_its_tokens(own_hub: Any, rest_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, clock, renewed = own_hub(), OffsetClock(SystemClock()), asyncio.Event()
    put_token = AmqpClient.put_token

    async def watched(client: AmqpClient, audience: str, token: str) -> None:
        await put_token(client, audience, token)
        renewed.set()

    found = await rest_of(hub).device()
    async with watch(hub.owner, ca_file=hub.ca_file, clock=clock) as events, AdminDoor.of(hub.home) as door:
        monkeypatch.setattr(AmqpClient, "put_token", watched)
        clock.advance(LIFETIME_S - RENEW_BEFORE_S)
        await asyncio.wait_for(renewed.wait(), 10)
        beyond_the_first = LIFETIME_S + MAX_CLOCK_SKEW_S + 60
        await door.call("POST", "/clock", body={"advanceSeconds": beyond_the_first, "tokens": True})
        async with await connected(hub) as client:
            await client.put_token("d", found.token(expires_in=beyond_the_first + 3600))
            sender = await client.sender(f"/devices/{found.identity.device_id}/messages/events")
            assert is_accepted(await sender.send(text("still here")))
        async for event in events:
            if event["source"] == "Telemetry":
                break
    assert event["body"] == "still here"


async def test_an_unknown_group_is_named(hub: Any) -> None:
    with pytest.raises(NoConsumerGroupError, match="'elsewhere'"):
        async with watch(hub.owner, ca_file=hub.ca_file, group="elsewhere"):
            pass


async def test_a_devices_connection_string_does_not_do(hub: Any, rest: Any) -> None:
    found = await rest.device()
    with pytest.raises(InputError, match="of a policy"):
        async with watch(ConnectionString.parse(found.connection_string), ca_file=hub.ca_file):
            pass


async def test_the_command_prints_json_lines(hub: Any, rest: Any) -> None:
    found = await rest.device()
    where = ("--home", str(hub.home), "--hub", str(hub.owner))
    wanted = ("--device", found.identity.device_id, "--count", "2", "--output", "json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgeyard", "monitor", *where, *wanted),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"Watching" not in (line := await process.stderr.readline()):
        assert line
    await send(hub, found, "1", "2")
    printed, _ = await process.communicate()
    assert process.returncode == 0
    assert [json.loads(line)["body"] for line in printed.splitlines()] == [1, 2]
