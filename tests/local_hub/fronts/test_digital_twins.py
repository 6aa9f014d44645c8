"""Digital twins with the unmodified SDKs: azure-iot-hub's DigitalTwinClient and a plug and play device."""

from __future__ import annotations

import asyncio
import platform
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

if not (platform.machine() == "x86_64" and sys.platform == "linux"):
    pytest.skip("azure-iot-hub needs uamqp, which has wheels for x86-64 Linux only", allow_module_level=True)

from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.hub import DigitalTwinClient
from msrest.exceptions import HttpOperationError

pytestmark = [
    pytest.mark.acceptance,
    # paho-mqtt, inside the device SDK, leaves its wake-up sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning"),
]

MODEL = "dtmi:com:example:TemperatureController;1"


@pytest.fixture
def digital(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[DigitalTwinClient]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(hub.home / "hub" / "bundle.pem"))
    client = DigitalTwinClient.from_connection_string(str(hub.owner))
    yield client
    client.protocol.close()


@asynccontextmanager
async def plugged_in(hub: Any, device: Any) -> AsyncIterator[IoTHubDeviceClient]:
    client = IoTHubDeviceClient.create_from_connection_string(
        device.connection_string, server_verification_cert=hub.ca_file.read_text(), product_info=MODEL
    )
    await client.connect()
    try:
        yield client
    finally:
        await client.shutdown()


async def refused(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(HttpOperationError) as error:
        await asyncio.to_thread(call, *arguments)
    response = error.value.response
    return response.status_code, response.headers["iothub-errorcode"]


async def test_what_is_desired_and_what_is_reported_stand_in_one_view(hub: Any, rest: Any, digital: Any) -> None:
    device = await rest.device()
    async with plugged_in(hub, device) as client:
        received = asyncio.get_running_loop().create_future()
        client.on_twin_desired_properties_patch_received = received.set_result
        patch = [{"op": "add", "path": "/thermostat1/targetTemperature", "value": 21.4}]
        await asyncio.to_thread(digital.update_digital_twin, device.identity.device_id, patch)
        wanted = await received
        ack = {"value": 21.4, "ac": 200, "av": wanted["$version"], "ad": "done"}
        await client.patch_twin_reported_properties(
            {"serialNumber": "a1", "thermostat1": {"__t": "c", "targetTemperature": ack}}
        )
    twin = await asyncio.to_thread(digital.get_digital_twin, device.identity.device_id)
    assert wanted == {"thermostat1": {"__t": "c", "targetTemperature": 21.4}, "$version": 2}
    assert (twin["$dtId"], twin["$metadata"]["$model"]) == (device.identity.device_id, MODEL)
    assert (twin["serialNumber"], twin["thermostat1"]["targetTemperature"]) == ("a1", 21.4)
    known = twin["thermostat1"]["$metadata"]["targetTemperature"]
    assert {name: known[name] for name in known if name != "lastUpdateTime"} == {
        "desiredValue": 21.4,
        "desiredVersion": 2,
        "ackVersion": 2,
        "ackCode": 200,
        "ackDescription": "done",
    }


async def test_commands_of_the_root_and_of_a_component_reach_the_device(hub: Any, rest: Any, digital: Any) -> None:
    device = await rest.device()
    async with plugged_in(hub, device) as client:

        async def answer(request: Any) -> None:
            body = {"name": request.name, "got": request.payload}
            await client.send_method_response(MethodResponse.create_from_method_request(request, 201, body))

        client.on_method_request_received = answer
        name = device.identity.device_id
        root = await asyncio.to_thread(digital.invoke_command, name, "reboot", 5, 10, 30)
        inner = await asyncio.to_thread(digital.invoke_component_command, name, "thermostat1", "report", {"a": 1}, 10)
        raw = await rest.call("POST", f"/digitaltwins/{name}/commands/reboot", None)
    assert root == {"name": "reboot", "got": 5}
    assert inner == {"name": "thermostat1*report", "got": {"a": 1}}
    assert (raw.status, raw.headers["x-ms-command-statuscode"], raw.body["got"]) == (200, "201", None)
    assert uuid.UUID(raw.headers["x-ms-request-id"])


async def test_a_patch_is_accepted_with_the_new_etag_and_where_the_twin_is(rest: Any) -> None:
    device = await rest.device()
    path = f"/digitaltwins/{device.identity.device_id}"
    before = await rest.call("GET", path)
    patch = [{"op": "add", "path": "/fanSpeed", "value": 2}]
    answer = await rest.call("PATCH", path, patch, If_Match=before.headers["ETag"])
    after = await rest.call("GET", path)
    assert (answer.status, answer.body) == (202, None)
    assert before.headers["ETag"] != answer.headers["ETag"] == after.headers["ETag"]
    assert answer.headers["Location"].endswith(path)
    assert after.body["$metadata"] == {"$model": "", "fanSpeed": {"desiredValue": 2, "desiredVersion": 2}}


async def test_a_patch_of_nothing_leaves_the_etag(rest: Any) -> None:
    device = await rest.device()
    path = f"/digitaltwins/{device.identity.device_id}"
    before = (await rest.call("GET", path)).headers["ETag"]
    assert (await rest.call("PATCH", path, [])).headers["ETag"] == before


async def test_a_stale_etag_is_refused(rest: Any, digital: Any) -> None:
    name = (await rest.device()).identity.device_id
    patch = [{"op": "add", "path": "/fanSpeed", "value": 2}]
    assert await refused(digital.update_digital_twin, name, patch, '"AAAAAAAAAAk="') == (412, "PreconditionFailed")


async def test_a_bad_patch_is_refused_by_its_kind(rest: Any, digital: Any) -> None:
    name = (await rest.device()).identity.device_id
    bad_path = [{"op": "add", "path": "/a/b/c", "value": 2}]
    assert await refused(digital.update_digital_twin, name, bad_path) == (400, "InvalidDigitalTwinPatchPath")
    assert await refused(digital.update_digital_twin, name, [{"op": "move"}]) == (400, "InvalidDigitalTwinJsonPatch")


async def test_what_is_not_there_is_404(rest: Any, digital: Any) -> None:
    assert await refused(digital.get_digital_twin, "none") == (404, "DeviceNotFound")
    name = (await rest.device()).identity.device_id
    assert await refused(digital.invoke_command, name, "reboot", {}) == (404, "DeviceNotOnline")


@pytest.mark.parametrize("query", ["connectTimeoutInSeconds=x", "responseTimeoutInSeconds=4"])
async def test_time_limits_of_commands_are_those_of_methods(rest: Any, query: str) -> None:
    name = (await rest.device()).identity.device_id
    path = f"/digitaltwins/{name}/commands/reboot"
    answer = await rest.call("POST", path, query=f"api-version=2021-04-12&{query}")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")
