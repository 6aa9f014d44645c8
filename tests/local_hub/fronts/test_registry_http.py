"""The registry over the wire: statuses, names and envelopes, ids in paths, and the service's odd habits."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

EDGE = {"capabilities": {"iotEdge": True}}
PLAIN = {"errorCode", "message", "trackingId", "timestampUtc"}
REGISTRY = {"Message", "ExceptionMessage"}


def fresh() -> str:
    return f"d-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize("top", ["0", "-1", "1001", "many", ""])
async def test_a_top_out_of_range_means_a_thousand(rest: Any, top: str) -> None:
    for _ in range(2):
        await rest.device()
    answer = await rest.call("GET", "/devices", query=f"api-version=2021-04-12&top={top}")
    assert (answer.status, len(answer.body) >= 2) == (200, True)


async def test_top_limits_the_list(rest: Any) -> None:
    for _ in range(2):
        await rest.device()
    assert len((await rest.call("GET", "/devices", query="api-version=2021-04-12&top=1")).body) == 1


@pytest.mark.parametrize(
    ("verb", "path", "body", "headers", "status", "name"),
    [
        ("GET", "/devices/{none}", None, {}, 404, "DeviceNotFound"),
        ("PUT", "/devices/{device}", {}, {}, 409, "DeviceAlreadyExists"),
        ("PUT", "/devices/{device}", {}, {"If_Match": '"c3RhbGU="'}, 412, "PreconditionFailed"),
        ("PUT", "/devices/{none}", {}, {"If_Match": "*"}, 404, "DeviceNotFound"),
        ("PUT", "/devices/{none}", {"status": 1}, {}, 400, "ArgumentInvalid"),
        ("PUT", "/devices/{none}", {"deviceScope": "ms-azure-iot-edge://x-1"}, {}, 400, "InvalidDeviceScope"),
        ("DELETE", "/devices/{device}", None, {}, 412, "PreconditionFailed"),
        ("DELETE", "/devices/{none}", None, {"If_Match": "*"}, 404, "DeviceNotFound"),
        ("POST", "/devices", {}, {}, 400, "ArgumentInvalid"),
        ("POST", "/devices", [{"id": "a"}, {"id": "a"}], {}, 400, "DeviceDefinedMultipleTimes"),
        ("POST", "/devices", [{"id": f"a{n}"} for n in range(101)], {}, 413, "TooManyDevices"),
        ("POST", "/devices/keys/regenerate", {"policyKey": "x"}, {}, 400, "ArgumentInvalid"),
        ("GET", "/devices/a%20b", None, {}, 400, "ArgumentInvalid"),
        ("GET", "/devices/a%2Fb", None, {}, 400, "ArgumentInvalid"),
        ("GET", "/devices/%FF", None, {}, 400, "ArgumentInvalid"),
    ],
)
async def test_refusals_of_devices(
    rest: Any, verb: str, path: str, body: Any, headers: dict[str, str], status: int, name: str
) -> None:
    device = await rest.device()
    answer = await rest.call(verb, path.format(device=device.identity.device_id, none=fresh()), body, **headers)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (status, name)
    assert set(answer.body) == REGISTRY
    assert answer.body["Message"].startswith(f"ErrorCode:{name};")


@pytest.mark.parametrize(
    ("verb", "module", "headers", "status", "name", "code"),
    [
        ("GET", "none", {}, 404, "ModuleNotFound", 404010),
        ("PUT", "m", {}, 409, "ModuleAlreadyExistsOnDevice", 409301),
        ("PUT", "m", {"If_Match": "c3RhbGU="}, 412, "PreconditionFailed", 412001),
        ("PUT", "none", {"If_Match": "*"}, 404, "ModuleNotFound", 404010),
        ("PUT", "%24mine", {}, 400, "ArgumentInvalid", 400004),
        ("PUT", "$edgeHub", {}, 400, "ArgumentInvalid", 400004),
        ("DELETE", "m", {}, 412, "PreconditionFailed", 412001),
        ("DELETE", "none", {"If_Match": "*"}, 404, "ModuleNotFound", 404010),
    ],
)
async def test_refusals_of_modules(
    rest: Any, verb: str, module: str, headers: dict[str, str], status: int, name: str, code: int
) -> None:
    device = await rest.device(module="m")
    path = f"/devices/{device.identity.device_id}/modules/{module}"
    answer = await rest.call(verb, path, {} if verb == "PUT" else None, **headers)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (status, name)
    assert (set(answer.body), answer.body["errorCode"]) == (PLAIN, code)


@pytest.mark.parametrize("state", ["missing", "disabled"])
@pytest.mark.parametrize(("verb", "path"), [("GET", ""), ("GET", "/m"), ("PUT", "/m"), ("DELETE", "/m")])
async def test_module_calls_on_a_missing_or_disabled_device_are_401(
    rest: Any, state: str, verb: str, path: str
) -> None:
    device_id = fresh() if state == "missing" else (await rest.device(status="disabled")).identity.device_id
    answer = await rest.call(verb, f"/devices/{device_id}/modules{path}", {} if verb == "PUT" else None, If_Match="*")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")
    assert set(answer.body) == REGISTRY


async def test_module_twins_of_a_missing_device_are_404(rest: Any) -> None:
    answer = await rest.call("GET", f"/twins/{fresh()}/modules/m")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (404, "DeviceNotFound")


@pytest.mark.parametrize("special", "-:.+%_#*?!(),=@;$'")
async def test_every_character_of_an_id_survives_the_path(rest: Any, special: str) -> None:
    device_id = f"{fresh()}{special}"
    path = f"/devices/{device_id[:-1]}%{ord(special):02x}"
    assert (await rest.call("PUT", path, {"deviceId": device_id})).body["deviceId"] == device_id
    assert (await rest.call("GET", path.replace("/devices/", "/twins/"))).body["deviceId"] == device_id
    assert (await rest.call("DELETE", path, If_Match='"*"')).status == 204


async def test_keys_are_regenerated(rest: Any) -> None:
    device = await rest.device()
    body = {"policyKey": "primaryKey", "devices": [{"id": device.identity.device_id}]}
    answer = await rest.call("POST", "/devices/keys/regenerate", body)
    assert (answer.status, answer.body["errors"]) == (200, [])
    assert answer.body["rotatedKeys"][0]["primaryKey"] != device.key


async def test_statistics_have_the_services_members(rest: Any) -> None:
    devices = (await rest.call("GET", "/statistics/devices")).body
    assert devices["totalDeviceCount"] == devices["enabledDeviceCount"] + devices["disabledDeviceCount"]
    assert set((await rest.call("GET", "/statistics/service")).body) == {"connectedDeviceCount"}
