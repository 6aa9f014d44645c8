"""Conditions of IoT Hub's routes, where they differ from those of an edge hub."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import RouteError
from iot_core.routing import RoutedMessage, compile_hub_condition, evaluate, hub_system_properties

TWIN = {"tags": {"site": "north"}, "properties": {"desired": {"level": 3}, "reported": {"ok": True}}}
BODY = {
    "t": 31.5,
    "list": [1, {"x": 5}],
    "object": {"a": 1},
    "nothing": None,
    "when": "2024-05-06T07:08:09Z",
    "big": 10**400,
}


def sent(**changes: Any) -> RoutedMessage:
    fields: dict[str, Any] = {
        "source": "Telemetry",
        "properties": {"severity": "2", "empty": None, "$body.own": "mine"},
        "system_properties": hub_system_properties(
            {
                "contentType": "application/json",
                "contentEncoding": "utf-8",
                "connectionDeviceId": "d1",
                "subject": "thermostat",
                "dataSchema": "dtmi:x;1",
                "creationTimeUtc": "2024-01-01",
            }
        ),
        "body": BODY,
        "find_twin": lambda: TWIN,
    }
    return RoutedMessage(**fields | changes)


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "as_number(severity) <= 2",
        "$connectionDeviceId = 'd1' AND $CONTENTTYPE = 'application/json'",
        "$dt-subject = 'thermostat' AND $dt-dataschema = 'dtmi:x;1'",
        "$body.t > 30",
        "$body.list[1].x = 5",
        "$twin.tags.site = 'north'",
        "$twin.properties.desired.level >= 3 AND $twin.properties.reported.ok = true",
        "$body.when = '2024-05-06T07:08:09Z'",
        "starts_with($twin.tags.site, 'nor')",
        "is_array($body.list) AND is_object($body.object) AND is_primitive($body.t)",
        "is_null($body.nothing) AND is_defined($body.nothing)",
        "is_number($body.big)",
        "NOT is_defined($body.gone)",
        "NOT is_null($body.gone)",
        "NOT is_object($body.list) AND NOT is_array($body.object)",
        "is_string($body.own) AND is_string(severity) AND is_null(empty)",
    ],
)
def test_a_condition_that_takes_the_message(condition: str) -> None:
    assert compile_hub_condition(condition).accepts(sent())


@pytest.mark.parametrize(
    "condition",
    [
        "false",
        "null",
        "undefined",
        "$body.gone = 1",
        "$body.gone != 1",
        "NOT ($body.gone = 1)",
        "$twin.tags.gone != 'x'",
        "gone != 'x'",
        "severity",
        "$body.object = 1",
        "$body.object != 1",
        "starts_with($body.t, '3')",
    ],
)
def test_what_is_undefined_null_or_no_truth_value_routes_nothing(condition: str) -> None:
    assert not compile_hub_condition(condition).accepts(sent())


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("", "empty"),
        ("severity = '2' please", "please"),
        ("severity IN ['1']", "IN"),
        ("severity <= 2", "as_number"),
        ("STARTSWITH(severity, '2')", "no function STARTSWITH"),
        ("$twin.deviceId = 'd1'", "not of the twin"),
        ("is_array($body.a, 1)", "takes one value"),
        ("$body.a[*] = 1", "no path"),
        ("(true", "never closed"),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(condition: str, reason: str) -> None:
    with pytest.raises(RouteError, match=r"\(at character \d+\)") as refusal:
        compile_hub_condition(condition)
    assert reason in str(refusal.value)


def test_a_body_that_is_not_said_to_be_json_is_undefined() -> None:
    message = sent(system_properties={"contentType": "text/plain", "contentEncoding": "utf-8"}, body=b'{"t":31.5}')
    assert not compile_hub_condition("is_defined($body.t)").accepts(message)


def test_the_twin_is_asked_for_once_and_only_when_a_condition_reads_it() -> None:
    asked: list[None] = []

    def find() -> dict[str, Any]:
        asked.append(None)
        return TWIN

    message = sent(find_twin=find)
    assert compile_hub_condition("$body.t > 30").accepts(message)
    assert asked == []
    twin_condition = compile_hub_condition("$twin.tags.site = 'north' AND $twin.properties.desired.level = 3")
    assert twin_condition.reads_twin
    assert twin_condition.accepts(message)
    assert asked == [None]


def test_a_sender_without_a_twin_leaves_twin_paths_undefined() -> None:
    assert not compile_hub_condition("$twin.tags.site != 'x'").accepts(sent(find_twin=lambda: None))


def test_the_edge_hub_keeps_its_own_ways() -> None:
    assert evaluate("is_null($body.gone)", sent()) is False
    with pytest.raises(RouteError, match="no function is_array"):
        evaluate("is_array($body.list)", sent())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=8,
)
terms = st.sampled_from(
    ["$body.a", "$body.a[0].b", "$twin.tags.a", "p", "$contentType", "1", "'x'", "null", "true", "is_null($body.a)"]
)
conditions = st.builds(
    " ".join, st.lists(terms | st.sampled_from(["=", "!=", "<", "AND", "OR", "NOT", "+", "??", "(", ")"]), max_size=9)
)


@given(condition=conditions, value=json_values)
def test_whatever_is_asked_of_whatever_message_is_answered_or_refused(condition: str, value: Any) -> None:
    message = sent(body={"a": value}, find_twin=lambda: {"tags": {"a": value}}, properties={"p": "1"})
    with suppress(RouteError):
        assert compile_hub_condition(condition).accepts(message) in (True, False)
