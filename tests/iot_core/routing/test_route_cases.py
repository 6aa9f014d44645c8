"""Every row of route_cases.json: conditions on messages, whole routes, and which source covers which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iot_core.errors import RouteError
from iot_core.routing import (
    UNDEFINED,
    ModuleInput,
    RoutedMessage,
    compile_route,
    evaluate,
    parse_condition,
    parse_route,
    source_matches,
)

TABLE = json.loads((Path(__file__).parent / "route_cases.json").read_text())
MESSAGES = {name: RoutedMessage.from_dict(fields) for name, fields in TABLE["messages"].items()}
OUTCOMES = {"true": True, "false": False, "undefined": UNDEFINED}

Case = dict[str, Any]


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in TABLE["cases"] if case["kind"] == kind]


@pytest.mark.parametrize("case", cases("condition"))
def test_condition_has_the_expected_outcome(case: Case) -> None:
    message = MESSAGES[case["message"]]
    if case["expected"] == "error":
        with pytest.raises(RouteError):
            evaluate(case["condition"], message)
    else:
        assert evaluate(case["condition"], message) is OUTCOMES[case["expected"]]
    if "ignored_tail_from" in case:
        assert parse_condition(case["condition"]).ignored_text.startswith(case["ignored_tail_from"])


@pytest.mark.parametrize("case", cases("route"))
def test_route_text_is_taken_apart_or_refused(case: Case) -> None:
    if case["expected"] == "error":
        with pytest.raises(RouteError):
            compile_route(case["route"])
        return
    parsed = parse_route(case["route"])
    wanted = case["parsed"]
    assert (parsed.source, parsed.sink, parsed.endpoint) == (wanted["source"], wanted["sink"], wanted.get("endpoint"))
    assert parsed.condition.text == wanted["condition"]
    assert parsed.ignored_text.startswith(case.get("ignored_tail_from", ""))


@pytest.mark.parametrize("case", [case for case in cases("route") if case.values[0]["expected"] == "ok"])
def test_route_that_parses_compiles_unless_its_condition_is_wrong(case: Case) -> None:
    if case.get("condition_compile") == "error":
        with pytest.raises(RouteError):
            compile_route(case["route"])
        return
    route = compile_route(case["route"])
    assert route.source == case["parsed"]["source"]
    assert isinstance(route.sink, ModuleInput) == ("endpoint" in case["parsed"])


@pytest.mark.parametrize("case", cases("source_match"))
def test_source_covers_a_message(case: Case) -> None:
    assert source_matches(case["route_source"], case["message_source"]) is (case["expected"] == "match")
