"""What routes mean beyond the case table: types, tokens, body values, functions, sinks and limits."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import RouteError
from iot_core.routing import (
    TWIN_CHANGE_SOURCE,
    UNDEFINED,
    ModuleInput,
    RoutedMessage,
    RouteSyntaxError,
    Truth,
    Upstream,
    compile_route,
    edge_system_properties,
    evaluate,
    message_source,
    parse_route,
)
from iot_core.routing.functions import FUNCTIONS, parse_number
from iot_core.routing.parser import MAX_NESTING

JSON_UTF8 = {"contentType": "application/json", "contentEncoding": "utf-8"}
BODY = {
    "n": 3,
    "big": 10**400,
    "s": "text",
    "t": True,
    "z": None,
    "o": {"a": {"a": 1}},
    "l": [1, [2]],
    "day": "2024-02-30T00:00:00",
    "night": "2024-02-29T24:00:00Z",
}
MESSAGE = RoutedMessage(
    source="/messages/modules/sensor/outputs/o1",
    properties={"Level": "warn", "nothing": None, "size": " 1,234.5 ", "$body.n": "own", "smile": "a😀b", "ß": "ß"},
    system_properties={**JSON_UTF8, "messageId": "m1"},
    body=json.dumps(BODY).encode(),
)


def ask(condition: str) -> Truth:
    return evaluate(condition, MESSAGE)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("undefined = undefined", UNDEFINED),
        ("null = null", True),
        ("null < null", False),
        ("null AND true", False),
        ("(null AND true) = null", True),
        ("null OR level = 'warn'", True),
        ("null OR null", False),
        ("undefined AND false", False),
        ("undefined OR true", True),
        ("false OR missing = 'a' OR true", True),
        ("true > false", True),
        ("nothing = nothing", UNDEFINED),
        ("(nothing ?? 'x') = 'x'", UNDEFINED),
        ("(undefined ?? undefined) OR true", True),
        ("NOT $body.t AND true", False),
        ("$body.t AND level", UNDEFINED),
        ("$body.missing AND false", UNDEFINED),
        ("$body.s = nothing", UNDEFINED),
        ("($body.missing ?? 'd') = null", True),
        ("({$nope} ?? $body.s) = 'text'", True),
    ],
)
def test_logic_is_three_valued(condition: str, expected: Truth) -> None:
    assert ask(condition) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "$body.t AND null",
        "$body.n % 2 = 1",
        "-$body.n = 1",
        "undefined = $body.n",
        "NOT undefined",
        "level AND true",
        "true = 1",
        "level ?? 1",
        "1 + null = 1",
        "e5 = 5",
        "$x[0] = 'a'",
        "abs(level) = 1",
        "$body.* = 1",
        "$body.0 = 1",
        "$body.a..b = 1",
        "$body.a[0][1] = 1",
        "level[0] = 'a'",
        "('a' = 'a'))",
        "is_defined(level))",
    ],
)
def test_wrong_types_and_forms_do_not_compile(condition: str) -> None:
    with pytest.raises(RouteError):
        ask(condition)


def test_comparing_a_property_with_a_number_says_what_to_do() -> None:
    with pytest.raises(RouteSyntaxError, match=r"= does not take text and number; .*as_number.*\(at character 7\)"):
        ask("level = 3")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("'a'b = 'x'", UNDEFINED),
        ("level/**/=/* = */'warn'", True),
        ("level = 'warn')", True),
        ("-2 = - 2", True),
        ("0xFFFFFFFFFFFFFFFF = -1", True),
        ("- 2 * 3 = -6", True),
        (r"'\u0061\\' = 'a\\'", True),
        ("", UNDEFINED),
    ],
)
def test_token(condition: str, expected: Truth) -> None:
    assert ask(condition) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("$body.n = 'own'", True),
        ("{$body.n} = 3", True),
        ("$body.big > 1e300", True),
        ("$body.o.a.a = 1", True),
        ("$body.l[0] = 1", True),
        ("$body.l[1] = 2", UNDEFINED),
        ("$body.s.x = null", True),
        ("$body.s[0] = null", True),
        ("$body.day = '2024-02-30T00:00:00'", True),
        ("is_defined($body.night)", False),
        ("is_null($body.z)", True),
        ("is_null($body.gone)", False),
        ("$body.t < $body.big AND $body.big < $body.s AND $body.s < $body.z", True),
    ],
)
def test_body_value(condition: str, expected: Truth) -> None:
    assert ask(condition) is expected


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-16", "utf-32"])
def test_body_is_read_in_its_encoding(encoding: str) -> None:
    system = {"contenttype": "Application/JSON", "CONTENTENCODING": encoding}
    message = RoutedMessage("/messages", {}, system, '{"a": "ü"}'.encode(encoding))
    assert evaluate("$body.a = 'ü'", message) is True


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b"{", b"\xff", b'{"a":' * 5000, "text", None, 5])
def test_body_that_is_no_object_is_undefined(body: Any) -> None:
    assert evaluate("$body.a = 1", RoutedMessage("/messages", {}, JSON_UTF8, body)) is UNDEFINED


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("as_number(size) = 1234.5", True),
        ("length(smile) = 4", True),
        ("index_of(smile, 'b') = 3", True),
        ("substring(smile, 3) = 'b'", True),
        ("substring(smile, 4) = ''", True),
        ("substring(smile, 4, 0) = ''", UNDEFINED),
        ("substring(smile, 0, $body.z) = ''", UNDEFINED),
        ("upper(ß) = 'ß'", True),
        ("concat(level, nothing) = 'warn'", True),
        ("concat(level, $body.z) = 'warn'", UNDEFINED),
        ("'😀' < '\uffff'", True),
        ("is_string(nothing)", False),
        ("is_number(3 / 0)", False),
        ("is_defined(0 / 0)", False),
        ("-3 / 0 < 0", True),
        ("sqrt(-1) = 0", UNDEFINED),
        ("power(0, -1) > 1e308", True),
        ("power(-8, .5) = 0", UNDEFINED),
        ("exp(1000) > 1e308", True),
        ("floor(3 / 0) > 1e308", True),
        ("sign(0) = 0", True),
        ("ABS($body.s) = 1", UNDEFINED),
    ],
)
def test_function(condition: str, expected: Truth) -> None:
    assert ask(condition) is expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e3", 1000.0), ("(5)", -5.0), ("5-", -5.0), ("¤ 5", 5.0), ("5.", 5.0), (".5", 0.5), ("Infinity", float("inf"))],
)
def test_text_that_is_a_number(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "--5", "-5-", "(5", ",5", "1 2", "0x10"])
def test_text_that_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("sink", "expected"),
    [
        ("$upstream", Upstream()),
        ("BrokeredEndpoint('/modules/m/inputs/i')", ModuleInput(module="m", input="i")),
        ('brokeredEndpoint("x/m/y/i/")', ModuleInput(module="m", input="i")),
    ],
)
def test_sink(sink: str, expected: object) -> None:
    assert compile_route(f"FROM /* INTO {sink}").sink == expected


@pytest.mark.parametrize("sink", ["$elsewhere", "Other('/modules/m/inputs/i')", "BrokeredEndpoint('/m/i')", "upstream"])
def test_sink_that_does_not_exist(sink: str) -> None:
    with pytest.raises(RouteError):
        compile_route(f"FROM /* INTO {sink}")


def test_route_takes_messages_of_its_source_that_meet_its_condition() -> None:
    route = compile_route("FROM /messages/modules/Sensor/* WHERE level = 'warn' INTO $upstream")
    assert route.accepts(MESSAGE)
    assert not route.accepts(RoutedMessage(MESSAGE.source))
    assert not route.accepts(RoutedMessage("/messages", MESSAGE.properties))


def test_route_whose_condition_is_wrong_parses_but_does_not_compile() -> None:
    text = "FROM /* WHERE level = 3 INTO $upstream"
    assert parse_route(text).condition.text == "level = 3"
    with pytest.raises(RouteError, match="as_number"):
        compile_route(text)


def test_route_reports_text_without_effect() -> None:
    route = compile_route("FROM /* INTO $upstream WHERE x = 'y'")
    assert (route.condition, route.ignored_text) == ("true", "WHERE x = 'y'")


def test_sources_of_messages() -> None:
    assert message_source() == "/messages"
    assert message_source("m") == "/messages/modules/m"
    assert message_source("m", "o") == "/messages/modules/m/outputs/o"
    assert compile_route("FROM /* INTO $upstream").accepts(RoutedMessage(TWIN_CHANGE_SOURCE))


def test_conditions_use_the_edge_hubs_names_of_system_properties() -> None:
    system = edge_system_properties({"creationTimeUtc": "now", "messageId": "m"})
    assert evaluate("$creationTime = 'now' AND $messageId = 'm'", RoutedMessage("/messages", {}, system)) is True


def test_undefined_is_falsy() -> None:
    assert not UNDEFINED


def test_long_chains_of_or_are_no_nesting() -> None:
    assert ask(" OR ".join(f"level = '{number}'" for number in range(1000)) + " OR level = 'warn'") is True


@pytest.mark.parametrize("opening", ["(", "NOT ", "- ", "abs(", "1 + ("])
def test_nesting_is_bounded(opening: str) -> None:
    with pytest.raises(RouteError, match=f"at most {MAX_NESTING} levels"):
        ask(opening * 2000)


def test_chained_operators_count_as_nesting() -> None:
    with pytest.raises(RouteError, match="levels"):
        ask("1" + " + 1" * 2000)


def test_too_long_a_route_is_refused() -> None:
    with pytest.raises(RouteError, match="at most 32768 characters"):
        compile_route("FROM /* INTO $upstream" + " " * 32_768)


WORDS = [*FUNCTIONS, "SELECT", "FROM", "WHERE", "INTO", "AND", "OR", "NOT", "true", "null", "undefined", "$upstream"]
MARKS = ["(", ")", "{", "}", "[", "*", "/", "/messages", "'a'", '"', "1", "-", "??", "||", "=", "<", ",", "%", ";"]
NAMES = ["level", "nothing", "$body.n", "$body.l[1]", "{$messageId}", "BrokeredEndpoint", "0xFF", "1e999", "e9", "/*"]


@given(st.lists(st.sampled_from([*WORDS, *MARKS, *NAMES]) | st.text(max_size=3), max_size=40))
def test_random_routes_are_compiled_or_refused(words: list[str]) -> None:
    text = " ".join(words)
    for route in (text, f"FROM /* WHERE {text} INTO $upstream"):
        with suppress(RouteError):
            assert compile_route(route).accepts(MESSAGE) in (True, False)


@given(st.text(max_size=200))
def test_random_conditions_are_evaluated_or_refused(text: str) -> None:
    try:
        outcome = ask(text)
    except RouteError:
        return
    assert outcome in (True, False, UNDEFINED)


OPERANDS = st.sampled_from(["level", "$body.n", "$body.z", "$body.gone", "{$body.n}", "2", "'x'", "true", "null"])
OPERATORS = st.sampled_from(["=", "<", ">=", "+", "/", "%", "||", "??", "AND", "OR"])


@given(OPERANDS, OPERATORS, OPERANDS, OPERATORS, OPERANDS)
def test_well_formed_conditions_are_evaluated_or_refused(a: str, first: str, b: str, second: str, c: str) -> None:
    for condition in (f"{a} {first} {b} {second} {c}", f"({a} {first} {b}) {second} {c}", f"NOT ({a} {first} {b})"):
        try:
            outcome = ask(condition)
        except RouteError:
            continue
        assert outcome in (True, False, UNDEFINED)
