"""The edge as a device of the hub: identities, configuration, and who is kept out."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core import sas, topics
from iot_core.identity import Identity, generate_key
from local_edge import EdgeConfig, LocalEdge
from local_edge.errors import AddressError, AlreadyRunningError, EdgeSettingsError
from transport.mqtt_client import ConnectRefused, MqttClient

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
Reports = Callable[[], Awaitable[dict[str, Any]]]
QUIET = {"settings": {"image": "test/quiet"}}
UP = {"up": "FROM /messages/* INTO $upstream"}


async def modules_of(service: RestHubService, device_id: str) -> set[str]:
    rows = [row async for row in service.query(f"SELECT * FROM devices.modules WHERE deviceId = '{device_id}'")]
    return {row["moduleId"] for row in rows}


async def test_identities_come_and_go_with_the_deployment(
    edge: LocalEdge, service: RestHubService, device_id: str, deployment: Deploy, wait: Wait, runs: Any
) -> None:
    await service.apply_configuration_content(device_id, deployment({"a": QUIET, "b": QUIET}, UP))
    await wait(lambda: runs("a", "b"))
    await service.apply_configuration_content(device_id, deployment({"a": QUIET}, UP))

    async def b_is_gone() -> bool:
        return await modules_of(service, device_id) == {"$edgeAgent", "$edgeHub", "a"}

    await wait(b_is_gone)


async def test_the_twin_of_the_edge_hub_shows_clients_and_refuses_a_bad_route(
    edge: LocalEdge, service: RestHubService, device_id: str, deployment: Deploy, wait: Wait
) -> None:
    hub_identity = Identity(device_id, "$edgeHub")

    async def reported() -> dict[str, Any]:
        found: dict[str, Any] = (await service.get_twin(hub_identity))["properties"]["reported"]
        return found

    async def client_is_connected() -> bool:
        clients = (await reported()).get("clients", {})
        return bool(clients.get(f"{device_id}/a", {}).get("status") == "Connected")

    async def code(wanted: int) -> bool:
        return bool((await reported()).get("lastDesiredStatus", {}).get("code") == wanted)

    await service.apply_configuration_content(device_id, deployment({"a": {}}, UP))
    await wait(client_is_connected)
    await wait(lambda: code(200))
    await service.patch_twin(hub_identity, {"properties": {"desired": {"routes": {"bad": "FROM nowhere"}}}})
    await wait(lambda: code(400))
    assert "bad" in (await reported())["lastDesiredStatus"]["description"]


async def test_a_module_that_keeps_failing_is_given_up(
    edge: LocalEdge, service: RestHubService, device_id: str, deployment: Deploy, wait: Wait, agent_reports: Reports
) -> None:
    await service.apply_configuration_content(device_id, deployment({"e": {"settings": {"image": "test/ends"}}}, UP))

    async def given_up() -> bool:
        module = (await agent_reports()).get("modules", {}).get("e", {})
        return (module.get("runtimeStatus"), module.get("restartCount"), module.get("exitCode")) == ("failed", 3, 3)

    await wait(given_up)


async def test_a_wrong_token_is_refused_and_a_right_one_let_in(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    wait: Wait,
    runs: Any,
) -> None:
    await service.apply_configuration_content(device_id, deployment({"a": {}}, UP))
    await wait(lambda: runs("a"))
    identities = json.loads(config.files.identities.read_text())["modules"]
    await log_in(config, Identity(device_id, "a"), identities["a"]["key"])
    for identity, key in [
        (Identity(device_id, "a"), generate_key()),
        (Identity(device_id, "stranger"), identities["a"]["key"]),
        (Identity(device_id), config.device_key),
    ]:
        with pytest.raises(ConnectRefused) as caught:
            await log_in(config, identity, key)
        assert caught.value.code == 5


async def log_in(config: EdgeConfig, identity: Identity, key: str) -> None:
    client = MqttClient()
    try:
        await client.connect(
            config.host,
            config.mqtt_port,
            client_id=identity.path,
            username=topics.username(config.hub_host, identity),
            password=sas.sign(identity.resource(config.hub_host), key, int(time.time()) + 60),
            ssl=ssl.create_default_context(cafile=str(config.files.authority[0])),
        )
    finally:
        await client.close()


async def test_a_second_edge_on_the_same_home_is_refused(edge: LocalEdge, config: EdgeConfig) -> None:
    with pytest.raises(AlreadyRunningError, match="another edge runs in"):
        await LocalEdge(config).start()


async def test_a_busy_address_is_told_with_another_one(edge: LocalEdge, config: EdgeConfig) -> None:
    with pytest.raises(AddressError, match=f"{config.host}:8883: another program has it"):
        await LocalEdge(replace(config, home=config.home.with_name("second"))).start()


@pytest.mark.parametrize(
    "text",
    [
        "HostName=h;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0",
        "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=c2VjcmV0",
        "HostName=h;DeviceId=d;x509=true",
    ],
)
def test_only_a_devices_connection_string_with_a_key_will_do(text: str, tmp_path: Any) -> None:
    with pytest.raises(EdgeSettingsError, match="connection string"):
        EdgeConfig(connection_string=text, home=tmp_path)
