"""What the service has and this hub has not is refused by its name; rows of the ledger point here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from iot_core.amqp import AmqpValue, Message
from iot_core.errors import EdgeyardError
from tests.local_hub.fronts.amqp_bench import connected, service
from transport.amqp_client import AmqpError
from transport.mqtt_client import MqttClient

JWT = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJodHRwczovL2lvdGh1YnMuYXp1cmUubmV0In0."


async def test_entra_tokens_over_https(rest: Any) -> None:
    answer = await rest.call("GET", "/devices", token=f"Bearer {JWT}")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")
    assert "Microsoft Entra tokens are not taken" in answer.body["Message"]


@pytest.mark.parametrize("kind", ["jwt", "bearer"])
async def test_entra_tokens_over_amqp(hub: Any, kind: str) -> None:
    fields = {"operation": "put-token", "type": kind, "name": hub.host}
    async with await connected(hub) as client:
        with pytest.raises(AmqpError, match=r"401: .*Microsoft Entra tokens are not taken"):
            await client.request("$cbs", Message(application_properties=fields, body=AmqpValue(JWT)))


async def test_device_streams(hub: Any, rest: Any) -> None:
    device = await rest.device()
    path, ended = device.identity.path, asyncio.Event()
    client = MqttClient(on_message=lambda _message: None, on_disconnect=lambda _cause: ended.set())
    await client.connect(
        hub.host,
        8883,
        client_id=path,
        username=f"{hub.host}/{path}/?api-version=2021-04-12",
        password=device.token(),
        clean_session=True,
        ssl=hub.tls,
    )
    with pytest.raises(EdgeyardError):
        await client.subscribe("$iothub/streams/POST/#")
    await asyncio.wait_for(ended.wait(), 10)
    await client.close()


@pytest.mark.parametrize("address", ["/devices/d/streams", "/modules/d/m/streams"])
async def test_device_streams_over_amqp(hub: Any, address: str) -> None:
    async with await service(hub) as client:
        with pytest.raises(AmqpError) as refused:
            await client.receiver(address)
    assert refused.value.condition == "amqp:not-found"


async def test_a_module_twin_is_replaced(rest: Any) -> None:
    device = await rest.device("m")
    path = f"/twins/{device.identity.device_id}/modules/m"
    await rest.call("PATCH", path, {"tags": {"a": 1}, "properties": {"desired": {"b": 1}}})
    replaced = await rest.call("PUT", path, {"tags": {"c": 2}})
    assert (replaced.status, replaced.body["moduleId"], replaced.body["tags"]) == (200, "m", {"c": 2})
    assert "b" not in replaced.body["properties"]["desired"]
