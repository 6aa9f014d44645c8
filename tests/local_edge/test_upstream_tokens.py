"""The edge's connections to the hub outlive their tokens: a new one is used before the old one ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core import sas
from iot_core.clock import OffsetClock, SystemClock
from local_edge import EdgeConfig
from local_edge.upstream import RENEW_BEFORE_S, TOKEN_LIFETIME_S, UpstreamLink
from transport.mqtt_client import MqttClient

OLD_S = TOKEN_LIFETIME_S - RENEW_BEFORE_S


class _Quiet:
    """A listener that counts how often the link came up."""

    def __init__(self) -> None:
        self.ups = 0

    def link_up(self) -> None:
        self.ups += 1

    def desired_patch(self, patch: dict[str, Any]) -> None: ...

    async def method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        return 200, b"null"


@pytest.fixture
def edge_clock() -> OffsetClock:
    return OffsetClock(SystemClock())


@pytest.fixture
def listener() -> _Quiet:
    return _Quiet()


@pytest.fixture
def expiries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When each token that the edge logged in with ends."""
    seen: list[int] = []
    connect = MqttClient.connect

    async def watched(client: MqttClient, *address: Any, **login: Any) -> Any:
        seen.append(sas.parse(login["password"]).expiry)
        return await connect(client, *address, **login)

    monkeypatch.setattr(MqttClient, "connect", watched)
    return seen


@pytest.fixture
async def link(
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    edge_clock: OffsetClock,
    listener: _Quiet,
    expiries: list[int],
) -> AsyncIterator[UpstreamLink]:
    key = (await service.get_device(device_id))["authentication"]["symmetricKey"]["primaryKey"]
    made = UpstreamLink(
        config.identity(None),
        config=config,
        key=lambda: key,
        clock=edge_clock,
        tls=ssl.create_default_context(cafile=str(config.ca_file)),
        listener=listener,
    )
    made.open()
    await made.up()
    yield made
    await made.close()


async def test_a_new_token_is_used_before_the_old_one_ends(
    link: UpstreamLink, edge_clock: OffsetClock, listener: _Quiet, expiries: list[int], wait: Any
) -> None:
    for times in (2, 3):
        edge_clock.advance(OLD_S)
        await wait(lambda times=times: listener.ups == times and link.is_up)
    assert (await link.get_twin())["desired"]["$version"] >= 1
    assert [round(later - earlier, -1) for earlier, later in pairwise(expiries)] == [
        OLD_S,
        OLD_S,
    ]


async def test_nothing_is_renewed_early(
    link: UpstreamLink, edge_clock: OffsetClock, listener: _Quiet, device_id: str
) -> None:
    edge_clock.advance(OLD_S - 60)
    await link.publish(f"devices/{device_id}/messages/events/", b"{}")
    assert (listener.ups, link.is_up) == (1, True)


async def test_what_is_in_flight_is_answered_before_the_reconnect(
    link: UpstreamLink, edge_clock: OffsetClock, listener: _Quiet, device_id: str, wait: Any
) -> None:
    topic = f"devices/{device_id}/messages/events/"
    sending = [asyncio.create_task(link.publish(topic, b"{}")) for _ in range(20)]
    await asyncio.sleep(0)
    edge_clock.advance(OLD_S)
    await asyncio.gather(*sending)
    await wait(lambda: listener.ups == 2 and link.is_up)
