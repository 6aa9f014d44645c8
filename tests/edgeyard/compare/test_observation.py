"""What of an answer counts, and what is only its format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgeyard.compare.observation import observe
from hub_tools.replies import Reply

NAMES = {"edgeyard-compare-1a": "{p}", "h.azure-devices.net": "{hub}"}


def facts_of(body: Any = None, *, status: int = 200, **headers: str) -> dict[str, str]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return observe(Reply(status=status, headers=sent, body=text), NAMES)


def test_status_headers_and_every_member_are_facts() -> None:
    assert facts_of({"a": {"b": [1, None]}}, status=201, X_Ms_Item_Type="Twin", Date="now") == {
        "status": "201",
        "header x-ms-item-type": "Twin",
        "body": "<object>",
        "body.a": "<object>",
        "body.a.b": "<list of 2>",
        "body.a.b[0]": "1",
        "body.a.b[1]": "null",
    }


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        ("edgeyard-compare-1a-d", '"{p}-d"'),
        ("h.azure-devices.net", '"{hub}"'),
        ("2026-01-01T00:00:00.1234567Z", '"<time Z>"'),
        ("2026-01-01T00:00:00+00:00", '"<time +00:00>"'),
        ("2026-01-01T00:00:00", '"<time without zone>"'),
        ("0001-01-01T00:00:00Z", '"0001-01-01T00:00:00Z"'),
        ("6b0e6d0b-7c5a-4e0e-8a58-1f6f0a6a7e11", '"<guid>"'),
        (
            f"Tracking ID:{'0a' * 16}-G:12-TimeStamp:01/02/2026 03:04:05",
            '"Tracking ID:<tracking id>-G:<number>-TimeStamp:<US time>"',
        ),
        ("Connected", '"Connected"'),
        (5, "5"),
        (True, "true"),
    ],
)
def test_what_differs_by_nature_becomes_its_format(value: Any, fact: str) -> None:
    assert facts_of({"x": value})["body.x"] == fact


@pytest.mark.parametrize(
    ("member", "value", "fact"),
    [
        ("etag", "AAAAAAAAAAE=", "<base64>"),
        ("etag", '"MTIzNDU2"', '"<base64 of a number>"'),
        ("etag", "not/base64!", "<text>"),
        ("etag", None, "null"),
        ("primaryKey", "YQ==", "<base64 of 1 bytes>"),
        ("generationId", "638000000000000000", "<digits>"),
        ("totalDeviceCount", 7, "<number>"),
        ("sasToken", "?sv=1&sig=a%2B&se=2026&sp=rw", "?sv=1&sig=<signature>&se=<time>&sp=rw"),
        ("message", "any words", "<text>"),
        ("Message", "ErrorCode:DeviceNotFound;any words", "ErrorCode:DeviceNotFound;<text>"),
    ],
)
def test_members_of_this_hub_alone_become_their_format(member: str, value: Any, fact: str) -> None:
    assert facts_of({member: value})[f"body.{member}"] == fact


def test_an_error_inside_a_text_is_looked_into() -> None:
    facts = facts_of({"Message": json.dumps({"errorCode": 404001, "message": "words"})}, status=404)
    assert facts["body.Message"] == "<object as text>"
    assert (facts["body.Message(JSON).errorCode"], facts["body.Message(JSON).message"]) == ("404001", "<text>")


def test_the_order_of_rows_does_not_count() -> None:
    rows = [{"n": 1, "etag": "YQ=="}, {"n": 2, "etag": "Yg=="}]
    assert facts_of(rows) == facts_of(rows[::-1])


def test_what_is_no_json_is_shown() -> None:
    assert facts_of(b"<html>")["body"] == "<no JSON> <html>"
    assert facts_of(b"")["body"] == "<nothing>"


def test_a_header_s_etag_is_a_format_too() -> None:
    assert facts_of({}, ETag='"AAAAAAAAAAE="')["header etag"] == '"<base64>"'
