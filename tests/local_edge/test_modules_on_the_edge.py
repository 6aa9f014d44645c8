"""Real modules on a real edge and a real hub: the SDK's module client, unmodified, from the edge environment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from hub_tools.rest import RestHubService
from iot_core import sas
from iot_core.identity import Identity
from local_edge import EdgeConfig, LocalEdge
from local_edge.control import list_modules, logs, restart

Deploy = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
Wait = Callable[..., Awaitable[Any]]
Runs = Callable[..., Awaitable[bool]]
ROUTES = {
    "chain": 'FROM /messages/modules/sender/outputs/out INTO BrokeredEndpoint("/modules/receiver/inputs/in")',
    "up": "FROM /messages/modules/receiver/outputs/echo INTO $upstream",
    "straight": {"route": "FROM /messages/modules/sender/outputs/out INTO $upstream", "priority": 1},
}


@pytest.fixture
async def two_probes(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Deploy,
    wait: Wait,
    runs: Runs,
) -> None:
    """`sender` and `receiver` run and answer methods."""
    modules = {
        "sender": {"startupOrder": 0, "env": {"COLOUR": {"value": "blue"}}},
        "receiver": {"settings": {"image": "test/probe", "createOptions": _bind(5002)}},
    }
    await service.apply_configuration_content(device_id, deployment(modules, ROUTES))
    await wait(lambda: runs("sender", "receiver"))
    await wait(lambda: all(_is_ready(config, module) for module in ("sender", "receiver")))
    for module in ("sender", "receiver"):
        # The hub hears of the module's subscription through the edge, a moment after the module made it.
        await service.invoke_method(Identity(device_id, module), "hello", connect_timeout_s=20)


def _is_ready(config: EdgeConfig, module: str) -> bool:
    return "probe ready" in "".join(logs(config.home, module))


def _bind(port: int) -> str:
    return f'{{"HostConfig": {{"PortBindings": {{"5001/tcp": [{{"HostPort": "{port}"}}]}}}}}}'


async def test_a_message_goes_over_output_input_and_upstream(
    two_probes: None, service: RestHubService, device_id: str, telemetry: Any, wait: Wait
) -> None:
    await _send(service, device_id, first=0, count=5)
    await wait(lambda: len(telemetry.bodies("receiver")) >= 5 and len(telemetry.bodies("sender")) >= 5)
    assert telemetry.bodies("sender") == [{"number": number} for number in range(5)]
    assert telemetry.bodies("receiver") == [
        {"input": "in", "body": {"number": number}, "from": "probe"} for number in range(5)
    ]


async def test_desired_properties_reach_the_module_and_reported_ones_the_hub(
    two_probes: None, service: RestHubService, device_id: str, wait: Wait
) -> None:
    identity = Identity(device_id, "sender")
    await service.patch_twin(identity, {"properties": {"desired": {"colour": "red"}}})

    async def reported() -> bool:
        return (await service.get_twin(identity))["properties"]["reported"].get("colour") == "red"

    await wait(reported)


async def test_the_hub_calls_a_method_of_a_module(two_probes: None, service: RestHubService, device_id: str) -> None:
    answer = await service.invoke_method(Identity(device_id, "sender"), "hello", {"a": [1]})
    assert (answer.status, answer.payload) == (200, {"me": "sender", "got": {"a": [1]}, "colour": "blue"})


async def test_a_module_calls_a_method_of_another_module(
    two_probes: None, service: RestHubService, device_id: str
) -> None:
    answer = await service.invoke_method(Identity(device_id, "sender"), "call", {"module": "receiver"})
    assert answer.payload["payload"]["me"] == "receiver"
    assert answer.payload["payload"]["got"] == "from afar"


async def test_a_killed_module_comes_back(
    two_probes: None,
    service: RestHubService,
    device_id: str,
    agent_reports: Any,
    module_pid: Callable[[str], int | None],
    wait: Wait,
) -> None:
    first = module_pid("sender")
    assert first is not None
    os.kill(first, signal.SIGKILL)

    async def restarted() -> bool:
        module = (await agent_reports())["modules"]["sender"]
        return bool(module["restartCount"] == 1 and module["runtimeStatus"] == "running")

    await wait(restarted)
    assert await wait(lambda: module_pid("sender")) != first
    answer = await service.invoke_method(Identity(device_id, "sender"), "hello", connect_timeout_s=20)
    assert answer.payload["me"] == "sender"


async def test_messages_sent_while_the_hub_is_away_arrive_once_it_is_back(
    two_probes: None, hub: Any, service: RestHubService, device_id: str, telemetry: Any, config: EdgeConfig, wait: Wait
) -> None:
    await _send(service, device_id, first=0, count=1)
    await wait(lambda: len(telemetry.bodies("receiver")) >= 1)
    await asyncio.to_thread(hub.stop)
    call = {"methodName": "send", "payload": {"first": 1, "count": 20}, "responseTimeoutInSeconds": 10}
    assert (await _call_on_gateway(config, "sender", call))["payload"] == {"sent": 20}
    await asyncio.to_thread(hub.start)

    def all_numbers(module: str) -> bool:
        return {_number(body) for body in telemetry.bodies(module)} >= set(range(21))

    await wait(lambda: all_numbers("sender") and all_numbers("receiver"))
    numbers = list(dict.fromkeys(_number(body) for body in telemetry.bodies("sender")))
    assert numbers == list(range(21))


async def test_the_control_functions_list_read_logs_and_restart(
    two_probes: None, config: EdgeConfig, module_pid: Callable[[str], int | None], wait: Wait
) -> None:
    rows = {row.name: row for row in await asyncio.to_thread(list_modules, config.home)}
    assert list(rows) == ["edgeAgent", "edgeHub", "receiver", "sender"]
    assert rows["receiver"].status == "running"
    assert f"probe ready {config.host} 5002" in "".join(logs(config.home, "receiver"))
    first = module_pid("sender")
    await asyncio.to_thread(restart, config.home, "sender")
    assert module_pid("sender") not in (None, first)


async def test_the_agent_answers_its_methods(
    two_probes: None, service: RestHubService, device_id: str, module_pid: Callable[[str], int | None]
) -> None:
    agent = Identity(device_id, "$edgeAgent")
    assert (await service.invoke_method(agent, "ping")).status == 200
    request = {"schemaVersion": "1.0", "items": [{"id": "^receiver$", "filter": {"tail": 1}}]}
    logs_answer = await service.invoke_method(agent, "GetModuleLogs", request)
    assert [(item["id"], item["payload"].split()[:2]) for item in logs_answer.payload] == [
        ("receiver", ["probe", "ready"])
    ]
    first = module_pid("receiver")
    restarted = await service.invoke_method(agent, "restartmodule", {"schemaVersion": "1.0", "id": "receiver"})
    assert restarted.status == 200
    assert module_pid("receiver") not in (None, first)
    refused = await service.invoke_method(agent, "UploadModuleLogs", {})
    assert (refused.status, "UploadModuleLogs" in refused.payload["message"]) == (400, True)


def _number(body: dict[str, Any]) -> int:
    number: int = body["number"] if "number" in body else body["body"]["number"]
    return number


async def _send(service: RestHubService, device_id: str, *, first: int, count: int) -> None:
    answer = await service.invoke_method(Identity(device_id, "sender"), "send", {"first": first, "count": count})
    assert answer.payload == {"sent": count}


async def _call_on_gateway(config: EdgeConfig, module: str, call: dict[str, Any]) -> dict[str, Any]:
    """What a module client's invoke_method does, as the module `receiver`."""
    key = json.loads(config.files.identities.read_text())["modules"]["receiver"]["key"]
    caller = Identity(config.device_id, "receiver")
    token = sas.sign(caller.resource(config.hub_host), key, int(time.time()) + 60)
    headers = {"Authorization": token, "x-ms-edge-moduleId": caller.path}
    context = ssl.create_default_context(cafile=str(config.files.authority[0]))
    port = json.loads(config.files.running.read_text())["method_port"]
    url = f"https://{config.host}:{port}/twins/{config.device_id}/modules/{module}/methods"
    async with aiohttp.ClientSession() as session, session.post(url, json=call, headers=headers, ssl=context) as answer:
        assert answer.status == 200, await answer.text()
        body: dict[str, Any] = await answer.json()
        return body
