"""The REST API over the wire: who may call, what refusals look like, headers, paging."""

from __future__ import annotations

import asyncio
import io
import json
import time
import uuid
from typing import Any

import pytest

from iot_core import sas
from local_hub.fronts.http import MOST_BODY_BYTES


async def test_a_call_without_a_token_is_refused_with_the_service_s_text(rest: Any) -> None:
    answer = await rest.call("GET", "/devices", token=None)
    assert answer.status == 401
    assert answer.headers["iothub-errorcode"] == "IotHubUnauthorized"
    assert answer.body["Message"] == "ErrorCode:IotHubUnauthorized;Authorization header missing"


@pytest.mark.parametrize("token", ["nonsense", "Bearer abc", "SharedAccessSignature sr=a&sig=b&se=1&skn=iothubowner"])
async def test_a_bad_token_is_refused(rest: Any, token: str) -> None:
    answer = await rest.call("GET", "/devices", token=token)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")


async def test_a_device_s_token_opens_nothing_of_the_service(rest: Any) -> None:
    device = await rest.device()
    answer = await rest.call("GET", f"/twins/{device.identity.device_id}", token=device.token())
    assert answer.status == 401


async def test_an_edge_device_s_own_token_registers_its_modules(rest: Any) -> None:
    edge = await rest.device(capabilities={"iotEdge": True})
    path = f"/devices/{edge.identity.device_id}/modules"
    body = {"deviceId": edge.identity.device_id, "moduleId": "m", "managedBy": "IotEdge"}
    created = await rest.call("PUT", f"{path}/m", body, token=edge.token())
    listed = await rest.call("GET", path, token=edge.token())
    assert created.status == 200
    assert {module["moduleId"] for module in listed.body} == {"$edgeAgent", "$edgeHub", "m"}


@pytest.mark.parametrize("query", ["", "api-version=yesterday", "api-version=2021-04-12x"])
async def test_the_api_version_must_be_a_date(rest: Any, query: str) -> None:
    answer = await rest.call("GET", "/devices", query=query)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (400, "InvalidProtocolVersion")


@pytest.mark.parametrize("version", ["2018-06-30", "2020-05-31-preview", "2031-01-01"])
async def test_every_dated_api_version_is_accepted(rest: Any, version: str) -> None:
    assert (await rest.call("GET", "/statistics/devices", query=f"api-version={version}")).status == 200


async def test_a_path_that_the_service_does_not_have_is_404(rest: Any) -> None:
    assert (await rest.call("GET", "/teapots")).status == 404


async def test_a_verb_that_a_path_does_not_have_is_405_and_named(rest: Any) -> None:
    answer = await rest.call("DELETE", "/twins/d")
    assert answer.status == 405
    assert "GET, PATCH, PUT" in answer.body["Message"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"a": NaN}'])
async def test_a_body_that_is_not_json_is_refused(rest: Any, data: bytes) -> None:
    answer = await rest.call("PUT", f"/devices/d-{uuid.uuid4().hex}", data=data)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (400, "IotHubFormatError")


@pytest.mark.parametrize("body", [[], "text", 1])
async def test_a_body_of_another_kind_is_refused(rest: Any, body: Any) -> None:
    answer = await rest.call("PUT", f"/devices/d-{uuid.uuid4().hex}", body)
    assert (answer.status, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")


async def test_a_content_type_that_is_not_json_is_refused(rest: Any) -> None:
    answer = await rest.call("PUT", "/devices/d", data=b"<d/>", Content_Type="application/xml")
    assert (answer.status, answer.headers["iothub-errorcode"]) == (415, "UnsupportedContentType")
    assert "application/xml" in answer.body["Message"]


async def test_a_body_beyond_the_bound_is_refused(rest: Any) -> None:
    answer = await rest.call("POST", "/devices", data=io.BytesIO(b"[" + b" " * MOST_BODY_BYTES + b"]"))
    assert (answer.status, answer.headers["iothub-errorcode"]) == (413, "MessageTooLarge")


async def test_module_errors_have_the_plain_envelope(rest: Any) -> None:
    device = await rest.device()
    answer = await rest.call("GET", f"/devices/{device.identity.device_id}/modules/none")
    assert (answer.status, answer.body["errorCode"]) == (404, 404010)


async def test_method_errors_have_the_nested_envelope(rest: Any) -> None:
    device = await rest.device()
    answer = await rest.call("POST", f"/twins/{device.identity.device_id}/methods", {"methodName": "reboot"})
    assert (answer.status, answer.headers["iothub-errorcode"]) == (404, "DeviceNotOnline")
    assert json.loads(answer.body["Message"])["errorCode"] == 404103


@pytest.mark.parametrize("path", ["/devices/{}", "/twins/{}"])
async def test_the_etag_is_in_the_header_too(rest: Any, path: str) -> None:
    device = await rest.device()
    answer = await rest.call("GET", path.format(device.identity.device_id))
    assert answer.headers["ETag"] == f'"{answer.body["etag"]}"'


@pytest.mark.parametrize("star", ["*", '"*"'])
async def test_a_star_updates_whatever_the_etag_with_quotes_or_without(rest: Any, star: str) -> None:
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}"
    body = {"deviceId": device.identity.device_id, "status": "disabled"}
    updated = await rest.call("PUT", path, body, If_Match=star)
    assert (updated.status, updated.body["status"]) == (200, "disabled")
    assert (await rest.call("DELETE", path, If_Match=star)).status == 204


async def test_an_etag_counts_with_quotes_or_without_and_a_stale_one_is_refused(rest: Any) -> None:
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}"
    body = {"deviceId": device.identity.device_id}
    etag = (await rest.call("GET", path)).body["etag"]
    second = await rest.call("PUT", path, body, If_Match=f'"{etag}"')
    assert (await rest.call("PUT", path, body, If_Match=etag)).status == 412
    assert (await rest.call("PUT", path, body, If_Match=second.body["etag"])).status == 200


async def test_an_identity_without_if_match_is_created_once_and_not_deleted(rest: Any) -> None:
    device = await rest.device()
    path = f"/devices/{device.identity.device_id}"
    assert (await rest.call("PUT", path, {"deviceId": device.identity.device_id})).status == 409
    assert (await rest.call("DELETE", path)).status == 412


async def test_an_id_with_odd_characters_comes_back_as_it_was(rest: Any) -> None:
    device_id = f"a%41#?'$+;=,{uuid.uuid4().hex[:6]}"
    path = "/devices/" + "".join(f"%{byte:02X}" for byte in device_id.encode())
    assert (await rest.call("PUT", path, {"deviceId": device_id})).body["deviceId"] == device_id
    assert (await rest.call("GET", path)).body["deviceId"] == device_id


async def test_bulk_answers_400_with_a_result_when_an_item_fails(rest: Any) -> None:
    device = await rest.device()
    fresh = f"d-{uuid.uuid4().hex[:8]}"
    items = [{"id": name, "importMode": "create", "status": "enabled"} for name in (device.identity.device_id, fresh)]
    answer = await rest.call("POST", "/devices", items)
    assert (answer.status, answer.body["isSuccessful"]) == (400, False)
    assert [error["deviceId"] for error in answer.body["errors"]] == [device.identity.device_id]
    assert (await rest.call("GET", f"/devices/{fresh}")).status == 200


async def test_a_query_is_paged_until_no_token_comes(rest: Any) -> None:
    mark = uuid.uuid4().hex
    for _ in range(5):
        device = await rest.device()
        await rest.call("PATCH", f"/twins/{device.identity.device_id}", {"tags": {"mark": mark}})
    sizes, token = list[int](), None
    while token is not None or not sizes:
        headers = {"x_ms_max_item_count": "2"} | ({"x_ms_continuation": token} if token else {})
        body = {"query": f"SELECT * FROM devices WHERE tags.mark = '{mark}'"}
        answer = await rest.call("POST", "/devices/query", body, **headers)
        assert answer.headers["x-ms-item-type"] == "Twin"
        sizes.append(len(answer.body))
        token = answer.headers.get("x-ms-continuation")
    assert sum(sizes) == 5
    assert max(sizes) == 2


async def test_a_projection_is_raw(rest: Any) -> None:
    answer = await rest.call("POST", "/devices/query", {"query": "SELECT COUNT() AS n FROM devices"})
    assert answer.headers["x-ms-item-type"] == "Raw"


async def test_a_bad_query_says_no_more_than_the_service_does(rest: Any) -> None:
    answer = await rest.call("POST", "/devices/query", {"query": "SELECT * FROM devices ORDER BY deviceId"})
    assert answer.status == 400
    assert answer.body["Message"] == "ErrorCode:ArgumentInvalid;BadRequest"


@pytest.mark.parametrize("count", ["0", "-1", "many"])
async def test_a_page_size_must_be_a_positive_number(rest: Any, count: str) -> None:
    body = {"query": "SELECT * FROM devices"}
    assert (await rest.call("POST", "/devices/query", body, x_ms_max_item_count=count)).status == 400


async def test_a_policy_without_the_right_is_refused_even_with_a_true_signature(hub: Any, rest: Any) -> None:
    owner = hub.owner
    stolen = sas.sign(owner.host_name, owner.shared_access_key or "", int(time.time() + 60), "service")
    assert (await rest.call("GET", "/devices", token=stolen)).status == 401


async def test_an_unknown_job_is_known_as_unknown(rest: Any) -> None:
    answer = await rest.call("GET", "/jobs/v2/never-made")
    assert (answer.status, answer.body["status"]) == (200, "unknown")


async def test_a_body_is_asked_for_when_the_client_waits_for_that(rest: Any) -> None:
    device_id = f"d-{uuid.uuid4().hex[:8]}"
    answer = await rest.call("PUT", f"/devices/{device_id}", {"deviceId": device_id}, Expect="100-continue")
    assert (answer.status, answer.body["deviceId"]) == (200, device_id)


async def test_calls_side_by_side_do_not_disturb_each_other(rest: Any) -> None:
    device = await rest.device()
    path = f"/twins/{device.identity.device_id}"
    patches = [rest.call("PATCH", path, {"tags": {f"t{number}": number}}) for number in range(20)]
    assert {answer.status for answer in await asyncio.gather(*patches)} == {200}
    assert (await rest.call("GET", path)).body["tags"] == {f"t{number}": number for number in range(20)}
