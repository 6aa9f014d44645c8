"""Conditions and keys over one message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iot_core.errors import RouteError
from iot_core.message import Message
from iot_core.routing import UNDEFINED, Truth
from modules.trigger.conditions import check_key, compile_rule_condition, key_of, routed

BODY = {"t": 31, "none": None, "unit": {"id": 7, "on": True}, "day": "2026-01-01T00:00:00Z"}
SYSTEM = {"connectionDeviceId": "d", "connectionModuleId": "m", "contentType": "application/json"}


def message(body: Any = BODY, **system: str) -> Message:
    return Message(json.dumps(body).encode(), {"site": "north"}, {**SYSTEM, "contentEncoding": "utf-8", **system})


def truth(condition: str, of: Message | None = None) -> Truth:
    return compile_rule_condition(condition)(routed(of or message()))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("$body.t > 30", True),
        ("$body.t > 30 AND site = 'north'", True),
        ("$body.unit.id = 7", True),
        ("$body.t <= 30", False),
        ("$connectionDeviceId = 'd'", True),
        ("$body.day > '2025'", True),
        ("is_defined($body.absent)", False),
        ("is_null($body.none)", True),
    ],
)
def test_conditions_are_those_of_routes(condition: str, expected: bool) -> None:
    assert truth(condition) is expected


@pytest.mark.parametrize(
    "condition", ["$body.absent > 1", "$body.absent < 1", "$body.none > 1", "NOT ($body.none < 1)"]
)
def test_a_value_that_is_not_there_decides_nothing(condition: str) -> None:
    assert truth(condition) is UNDEFINED


def test_a_body_without_a_content_type_is_json_and_one_with_another_is_not() -> None:
    bare = Message(b'{"t": 31}')
    assert truth("$body.t > 30", bare) is True
    assert truth("$body.t > 30", message(contentType="text/plain")) is UNDEFINED


@pytest.mark.parametrize("condition", ["", "$body.t >", "$body.t > 1 nonsense", "nosuch(1)", "site > 3"])
def test_what_is_no_condition_is_refused_with_the_place(condition: str) -> None:
    with pytest.raises(RouteError, match=r"at character \d+"):
        compile_rule_condition(condition)


def test_keys_come_from_properties_system_properties_and_the_body() -> None:
    paths = ("$connectionDeviceId", "site", "$body.unit.id", "$body.unit.on", "$body.absent")
    assert key_of(paths, routed(message())) == "d/north/7/true"
    assert key_of(("$connectionModuleId", "$body.absent"), routed(Message(b"{}"))) == ""


@pytest.mark.parametrize("path", ["$", "", "$body.", "$body.a[*]"])
def test_what_is_no_key_is_refused(path: str) -> None:
    with pytest.raises(RouteError):
        check_key(path)
