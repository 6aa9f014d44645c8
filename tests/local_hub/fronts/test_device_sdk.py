"""azure-iot-device, unmodified, against the hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.device.exceptions import CredentialError

pytestmark = [
    pytest.mark.acceptance,
    # paho-mqtt, inside the SDK, leaves its wake-up sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
async def sdk(hub: Any) -> AsyncIterator[Callable[..., Any]]:
    clients: list[Any] = []

    async def connect(device: Any, **options: Any) -> Any:
        kind = IoTHubModuleClient if device.identity.module_id else IoTHubDeviceClient
        ca = hub.ca_file.read_text()
        text = options.pop("connection_string", device.connection_string)
        client = kind.create_from_connection_string(text, server_verification_cert=ca, **options)
        clients.append(client)
        await client.connect()
        return client

    yield connect
    for client in clients:
        await client.shutdown()


async def test_telemetry_is_seen_on_the_admin_stream(sdk: Any, rest: Any, trace: Any) -> None:
    device = await rest.device()
    client = await sdk(device)
    message = Message('{"temperature": 21.5}', content_encoding="utf-8", content_type="application/json")
    message.message_id = "m/1"
    message.custom_properties["room"] = "a b/c&d"
    async with trace(device.identity.device_id) as events:
        await client.send_message(message)
        event = await events.source("Telemetry")
    assert event["body"] == {"temperature": 21.5}
    assert event["properties"] == {"room": "a b/c&d"}
    assert event["systemProperties"]["messageId"] == "m/1"


async def test_a_module_sends_to_an_output(sdk: Any, rest: Any, trace: Any) -> None:
    module = await rest.device(module="scorer")
    client = await sdk(module)
    async with trace(module.identity.device_id) as events:
        await client.send_message_to_output(Message("{}"), "scores")
        event = await events.source("Telemetry")
    assert (event["moduleId"], event["systemProperties"]["outputName"]) == ("scorer", "scores")


async def test_the_twin_is_read_and_reported_properties_are_seen_by_the_service(sdk: Any, rest: Any) -> None:
    device = await rest.device()
    path = f"/twins/{device.identity.device_id}"
    await rest.call("PATCH", path, {"properties": {"desired": {"rate": 5}}})
    client = await sdk(device)
    assert (await client.get_twin())["desired"] == {"rate": 5, "$version": 2}
    await client.patch_twin_reported_properties({"rate": {"value": 5, "ac": 200, "av": 2}})
    reported = (await rest.call("GET", path)).body["properties"]["reported"]
    assert (reported["rate"], reported["$version"]) == ({"value": 5, "ac": 200, "av": 2}, 2)


async def test_desired_changes_reach_the_handler(sdk: Any, rest: Any) -> None:
    device = await rest.device()
    client = await sdk(device)
    loop, patches = asyncio.get_running_loop(), asyncio.Queue[Any]()

    async def received(patch: Any) -> None:
        # The SDK calls handlers on a loop of its own.
        loop.call_soon_threadsafe(patches.put_nowait, patch)

    client.on_twin_desired_properties_patch_received = received
    await rest.call("PATCH", f"/twins/{device.identity.device_id}", {"properties": {"desired": {"rate": 7}}})
    assert await asyncio.wait_for(patches.get(), 10) == {"rate": 7, "$version": 2}


async def answer_methods(client: Any) -> None:
    async def answer(request: Any) -> None:
        response = MethodResponse.create_from_method_request(request, 200, {"echo": request.payload})
        await client.send_method_response(response)

    client.on_method_request_received = answer


async def test_a_method_is_answered(sdk: Any, rest: Any) -> None:
    device = await rest.device()
    await answer_methods(await sdk(device))
    body = {"methodName": "reboot", "payload": {"delay": 1}, "responseTimeoutInSeconds": 10}
    answer = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", body)
    assert answer.body == {"status": 200, "payload": {"echo": {"delay": 1}}}


async def test_a_reconnect_keeps_the_subscriptions(sdk: Any, rest: Any) -> None:
    device = await rest.device()
    client = await sdk(device)
    await answer_methods(client)
    await client.disconnect()
    await client.connect()
    body = {"methodName": "m", "payload": 1}
    answer = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", body)
    assert answer.body == {"status": 200, "payload": {"echo": 1}}


async def test_a_client_comes_back_by_itself_after_the_hub_was_restarted(own_hub: Any, rest_of: Any) -> None:
    hub = own_hub()
    rest = rest_of(hub)
    device = await rest.device()
    client = IoTHubDeviceClient.create_from_connection_string(
        device.connection_string, server_verification_cert=hub.ca_file.read_text(), connection_retry_interval=1
    )
    await client.connect()
    await answer_methods(client)
    await asyncio.to_thread(own_hub)
    body = {"methodName": "m", "payload": 1, "connectTimeoutInSeconds": 30}
    answer = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", body)
    await client.shutdown()
    assert answer.body == {"status": 200, "payload": {"echo": 1}}


async def test_a_second_client_of_the_same_device_takes_over(sdk: Any, rest: Any, eventually: Any) -> None:
    device = await rest.device()
    first = await sdk(device, connection_retry=False)
    second = await sdk(device)

    async def first_is_out() -> bool:
        return not first.connected

    await eventually(first_is_out)
    await second.send_message("still here")


async def test_the_model_id_is_in_the_twin_once_a_device_is_connected(sdk: Any, rest: Any) -> None:
    device = await rest.device()
    # The SDK sends a product_info that starts with dtmi: as model-id.
    await sdk(device, product_info="dtmi:com:example:Thermostat;1")
    twin = (await rest.call("GET", f"/twins/{device.identity.device_id}")).body
    assert twin["modelId"] == "dtmi:com:example:Thermostat;1"


async def test_a_wrong_key_is_refused(sdk: Any, rest: Any) -> None:
    device, other = await rest.device(), await rest.device()
    wrong = device.connection_string.replace(device.key, other.key)
    with pytest.raises(CredentialError):
        await sdk(device, connection_string=wrong)
