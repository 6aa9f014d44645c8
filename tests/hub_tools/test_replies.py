"""The three shapes in which IoT Hub writes errors, and answers that are none of the hub's."""

from __future__ import annotations

import json

import pytest

from hub_tools.replies import Reply, error_of
from hub_tools.service import HubUnreachableError


def refused(status: int, body: object, **headers: str) -> Reply:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Reply(status=status, headers=headers, body=raw)


def test_envelope_a_carries_name_and_text_in_one_string() -> None:
    error = error_of(refused(409, {"Message": "ErrorCode:DeviceAlreadyExists;A device with ID 'd' exists."}))
    assert (error.name, error.code, error.status) == ("DeviceAlreadyExists", 409001, 409)
    assert error.message == "A device with ID 'd' exists."


def test_envelope_b_is_known_by_its_number() -> None:
    error = error_of(refused(409, {"errorCode": 409301, "message": "Device d already contains Module m."}))
    assert (error.name, error.message) == ("ModuleAlreadyExistsOnDevice", "Device d already contains Module m.")


def test_envelope_c_is_b_inside_a() -> None:
    inner = json.dumps({"errorCode": 404103, "message": "The device isn't online."})
    error = error_of(refused(404, {"Message": inner, "ExceptionMessage": ""}))
    assert (error.name, error.code, error.message) == ("DeviceNotOnline", 404103, "The device isn't online.")


def test_the_header_names_the_error_whatever_the_body_is() -> None:
    error = error_of(refused(404, "not json", **{"iothub-errorcode": "DeviceNotFound"}))
    assert (error.code, error.message) == (404001, "not json")


def test_an_unknown_refusal_keeps_its_http_status() -> None:
    error = error_of(refused(502, "<html>Bad gateway</html>"))
    assert (error.name, error.status) == ("Http502", 502)


def test_a_page_where_json_is_due_is_not_taken_for_an_answer() -> None:
    page = Reply(status=200, headers={}, body=b"<html>log in here</html>")
    with pytest.raises(HubUnreachableError, match="not a JSON object"):
        page.object()
    with pytest.raises(HubUnreachableError, match="not a JSON array"):
        page.array()


def test_headers_are_found_whatever_their_case() -> None:
    assert Reply(status=200, headers={"X-MS-Continuation": "t"}, body=b"").header("x-ms-continuation") == "t"
