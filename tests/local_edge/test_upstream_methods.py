"""When a module asks for direct methods while its connection to the hub is only coming up."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core.clock import SystemClock
from iot_core.identity import Identity
from local_edge import EdgeConfig
from local_edge.upstream import UpstreamLink
from transport.mqtt_client import MqttClient


class _Answering:
    """A listener that answers every method with its name."""

    def link_up(self) -> None: ...

    def desired_patch(self, patch: dict[str, Any]) -> None: ...

    async def method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        return 200, f'"{name}"'.encode()


@pytest.fixture
async def link(config: EdgeConfig, service: RestHubService, device_id: str) -> UpstreamLink:
    identity = config.identity(None)
    key = (await service.get_device(device_id))["authentication"]["symmetricKey"]["primaryKey"]
    return UpstreamLink(
        identity,
        config=config,
        key=lambda: key,
        clock=SystemClock(),
        tls=ssl.create_default_context(cafile=str(config.ca_file)),
        listener=_Answering(),
    )


async def test_the_hub_hears_of_it_all_the_same(
    link: UpstreamLink, service: RestHubService, device_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe: Callable[..., Awaitable[Any]] = MqttClient.subscribe

    async def subscribe_while_a_module_asks(client: MqttClient, *filters: str) -> Any:
        granted = await subscribe(client, *filters)
        await link.accept_methods(True)
        return granted

    monkeypatch.setattr(MqttClient, "subscribe", subscribe_while_a_module_asks)
    link.open()
    await link.up()
    answer = await service.invoke_method(Identity(device_id), "hello", connect_timeout_s=5)
    assert answer.payload == "hello"
    await link.close()
