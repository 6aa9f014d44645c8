"""What queries mean beyond the case table: logic, aggregates, names, limits, and what a store can index."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iot_core.query as query_language
from iot_core.errors import QueryError
from iot_core.query import QuerySyntaxError, compile_condition, parse, run
from iot_core.query.functions import FUNCTIONS
from iot_core.query.parser import MAX_NESTING
from iot_core.query.tokens import KEYWORDS

Twin = dict[str, Any]


def twin(device_id: str, reported: dict[str, Any] | None = None, **tags: Any) -> Twin:
    return {"deviceId": device_id, "tags": tags, "properties": {"desired": {}, "reported": reported or {}}}


FLEET = [
    twin("a", {"temp": 20, "list": [1, "x"], "on": True}, site="north", floor=1),
    twin("b", {"temp": 30.5, "on": False}, site="north", floor=2),
    twin("c", {"temp": "hot"}, site="south", floor=None),
    twin("d", place={"row": 1}),
]


def ids(condition: str) -> str:
    taken = compile_condition(condition)
    return "".join(document["deviceId"] for document in FLEET if taken(document))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("*", "abcd"),
        ("tags.site = 'north'", "ab"),
        ("'north' = tags.site", "ab"),
        ("tags.floor = null", "c"),
        ("tags.floor != 1", "bc"),
        ("tags.floor < 2", "a"),
        ("properties.reported.on = 1", ""),
        ("properties.reported.temp > 25", "b"),
        ("properties.reported.temp >= 'a'", "c"),
        ("tags.place = tags.place", ""),
        ("tags.place != 'x'", "d"),
        ("tags.place.row = 1", "d"),
        ("properties.reported.list[1] = 'x'", "a"),
        ("properties.reported.list[9] = 'x'", ""),
        ("tags.site[0] = 'n'", ""),
    ],
)
def test_comparison(condition: str, expected: str) -> None:
    assert ids(condition) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("NOT tags.site = 'north'", "c"),
        ("NOT (tags.site = 'north' OR true)", ""),
        ("tags.missing = 1 OR tags.site = 'south'", "c"),
        ("NOT (tags.missing = 1 AND false)", "abcd"),
        ("NOT NOT tags.site = 'south'", "c"),
        ("tags.floor OR tags.site = 'south'", "c"),
        ("NOT tags.floor", ""),
        ("tags.site IN ['south', 'west']", "c"),
        ("tags.site NIN ['south', 'west']", "ab"),
        ("tags.floor IN [-1, 1, null]", "ac"),
        ("tags.floor IN []", ""),
    ],
)
def test_logic_is_three_valued(condition: str, expected: str) -> None:
    assert ids(condition) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("tags.floor + 1 = 2", "a"),
        ("tags.floor - -1 = 3", "b"),
        ("1 + tags.floor * 2 = 5", "b"),
        ("(1 + tags.floor) * 2 = 4", "a"),
        ("10 / tags.floor = 5", "b"),
        ("tags.floor / 0 = 1 OR tags.floor % 0 = 1", ""),
        ("-properties.reported.temp < 0", "ab"),
        ("-5 % 3 = -2", "abcd"),
        ("0x10 = 16 AND 1.5e1 = 15", "abcd"),
    ],
)
def test_arithmetic(condition: str, expected: str) -> None:
    assert ids(condition) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("ENDSWITH(tags.site, 'th')", "abc"),
        ("startswith(tags.site, tags.site)", "abc"),
        ("NOT STARTSWITH(tags.floor, 'a')", ""),
        ("ARRAY_CONTAINS(properties.reported.list, 1)", "a"),
        ("ARRAY_CONTAINS(properties.reported.list, '1')", ""),
        ("IS_NULL(tags.floor)", "c"),
        ("IS_NUMBER(properties.reported.temp)", "ab"),
        ("IS_STRING(properties.reported.temp)", "c"),
        ("IS_OBJECT(tags.place) AND NOT IS_PRIMITIVE(tags.place)", "d"),
        ("IS_BOOL(properties.reported.on) AND IS_ARRAY(properties.reported.list)", "a"),
    ],
)
def test_function(condition: str, expected: str) -> None:
    assert ids(condition) == expected


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT AVG(tags.floor) AS mean, SUM(tags.floor) AS all FROM devices", [{"mean": 1.5, "all": 3}]),
        ("SELECT AVG(tags.none) AS mean, SUM(tags.none) AS all FROM devices", [{"all": 0}]),
        ("SELECT MIN(tags.site) AS first, MAX(tags.site) AS last FROM devices", [{"first": "north", "last": "south"}]),
        ("SELECT COUNT(*), MAX(tags.floor) FROM devices", [{"$1": 4, "$2": 2}]),
        ("SELECT tags.site, COUNT() AS n FROM devices GROUP BY tags.site",
         [{"site": "north", "n": 2}, {"site": "south", "n": 1}, {"n": 1}]),
        ("SELECT tags.site FROM devices GROUP BY tags.site", [{"site": "north"}, {"site": "south"}, {}]),
        ("SELECT TOP 1 tags.site AS s FROM devices", [{"s": "north"}]),
        ("SELECT TOP 0 * FROM devices", []),
        ("SELECT ID, tags.[[site]], properties.reported.list[0] AS one FROM devices WHERE deviceId = 'a'",
         [{"deviceId": "a", "site": "north", "one": 1}]),
        ("SELECT deviceId, tags.none FROM devices WHERE tags.site = 'south'", [{"deviceId": "c"}]),
    ],
)  # fmt: skip
def test_selected_rows(query: str, rows: list[Twin]) -> None:
    assert list(run(query, FLEET)) == rows


def test_groups_keep_values_of_different_types_apart() -> None:
    values = [1, True, "1", 1.0, None, {"k": [1]}, {"k": [1]}]
    documents = [{"tags": {"v": value}} for value in values]
    rows = list(run("SELECT tags.v, COUNT() AS n FROM devices GROUP BY tags.v", documents))
    assert [row["n"] for row in rows] == [2, 1, 1, 1, 2]


@pytest.mark.parametrize("text", [r"'it\'s'", "'it''s'", '"it\'s"', r"'it\u0027s'"])
def test_quote_in_a_string_is_escaped(text: str) -> None:
    assert compile_condition(f"tags.x = {text}")({"tags": {"x": "it's"}})


def test_unicode_escapes_make_one_character_of_a_surrogate_pair() -> None:
    assert compile_condition(r"tags.x = '\ud83d\ude00'")({"tags": {"x": "😀"}})


def test_condition_may_be_about_modules() -> None:
    condition = compile_condition("from devices.modules where moduleId = 'camera'")
    assert condition.collection == "devices.modules"
    assert condition({"moduleId": "camera"})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM devices WHERE tags.group = 1", r"write \[\[group\]\]"),
        ("SELECT * FROM devices WHERE STARTS_WITH(deviceId, 'a')", "write STARTSWITH"),
        ("SELECT * FROM devices WHERE CONTAINS(deviceId, 'a')", "no function CONTAINS"),
        ("SELECT * FROM devices WHERE IS_DEFINED()", "takes 1 arguments, not 0"),
        ("SELECT * FROM devices ORDER BY deviceId", "expected the end of the query, found 'ORDER'"),
        ("SELECT DISTINCT tags.x FROM devices", "expected ',' or FROM"),
        ("SELECT * FROM devices GROUP BY tags.x", "does not go with GROUP BY"),
        ("SELECT deviceId, COUNT() FROM devices", "only what GROUP BY names"),
        ("SELECT UPPER(deviceId) FROM devices", "UPPER cannot be selected"),
        ("SELECT COUNT() AS n FROM devices.jobs", r"takes SELECT \* only"),
        ("SELECT * FROM devices.jobs WHERE tags.x = 1", "has no tags"),
        ("SELECT * FROM devices WHERE tags.a = tags.b = tags.c", "found '='"),
        ("SELECT * FROM devices WHERE 1 + NOT true", "expected a value"),
        ("SELECT * FROM devices WHERE tags.x = 5a", "runs into a name"),
        ("SELECT * FROM devices WHERE tags.x = 'a\\q'", "is no escape"),
        ("SELECT TOP 1.5 * FROM devices", "expected a whole number"),
        ("SELECT * FROM devices /* open", "never closed"),
        ("SELECT * FROM devices WHERE tags.x ; 1", "no meaning here"),
        ("", "expected SELECT"),
    ],
)
def test_refusal_says_what_is_wrong(query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse(query)


def test_refusal_knows_its_position() -> None:
    with pytest.raises(QuerySyntaxError) as refusal:
        parse("SELECT * FROM devices WHERE tags.x == 1")
    assert refusal.value.position == len("SELECT * FROM devices WHERE tags.x =")


def test_query_is_refused_before_the_first_row() -> None:
    with pytest.raises(QueryError):
        run("SELECT", [])


def test_equalities_are_the_indexable_terms_of_the_outermost_and() -> None:
    query = parse(
        "SELECT * FROM devices WHERE devices.tags.site = 'n' AND (3 = DeviceId AND tags.on = true) AND tags.x != 1 "
        "AND tags.n = null AND tags.a[0] = 1 AND (tags.y = 1 OR tags.z = 2) AND NOT tags.w = 1"
    )
    assert query.equalities == ((("tags", "site"), "n"), (("deviceId",), 3), (("tags", "on"), True))


def test_memberships_are_the_in_terms_of_the_outermost_and() -> None:
    condition = compile_condition("deviceId IN ['a', 'b'] AND tags.x NIN [1] AND tags.y IN [null]")
    assert condition.memberships == ((("deviceId",), ("a", "b")),)


def test_an_or_has_no_indexable_terms() -> None:
    assert parse("SELECT * FROM devices WHERE tags.a = 1 OR tags.b = 2").equalities == ()


def test_query_tells_what_it_is() -> None:
    grouped = parse("SELECT TOP 3 tags.x, COUNT() AS n FROM devices.modules GROUP BY tags.x")
    assert (grouped.collection, grouped.top, grouped.item_type) == ("devices.modules", 3, "Raw")
    assert grouped.is_projection
    assert grouped.is_aggregate
    assert not parse("SELECT * FROM devices").is_projection


def test_public_names() -> None:
    assert query_language.__all__ == [
        "UNDEFINED",
        "Condition",
        "Document",
        "Equality",
        "ItemType",
        "Membership",
        "Query",
        "QuerySyntaxError",
        "Undefined",
        "compile_condition",
        "parse",
        "run",
    ]


def test_long_chains_of_or_are_no_nesting() -> None:
    condition = " OR ".join(f"tags.x={number}" for number in range(500))
    assert compile_condition(condition)({"tags": {"x": 499}})


@pytest.mark.parametrize("opening", ["(", "NOT ", "IS_DEFINED(", "1+("])
def test_nesting_is_bounded(opening: str) -> None:
    with pytest.raises(QueryError, match=f"at most {MAX_NESTING} levels"):
        compile_condition(opening * 600)


def test_chained_operators_count_as_nesting() -> None:
    with pytest.raises(QueryError, match="levels"):
        compile_condition("1" + "+1" * 2000)


def test_deepest_condition_still_runs() -> None:
    depth = MAX_NESTING - 2
    assert compile_condition("(" * depth + "true" + ")" * depth)({})
    assert compile_condition("NOT " * depth + "true")({})


WORDS = [*sorted(KEYWORDS), *FUNCTIONS, "COUNT", "devices", "devices.modules", "devices.jobs", "tags.x", "deviceId"]
MARKS = ["*", "(", ")", "[", "]", "[[", "]]", "'a'", '"', "1", "0x1F", "1e999", "-", "+", "/", "%", "=", "<", ",", "."]


@given(st.lists(st.sampled_from([*WORDS, *MARKS]) | st.text(max_size=3), max_size=40))
def test_random_queries_are_run_or_refused(words: list[str]) -> None:
    text = " ".join(words)
    for query in (text, f"SELECT * FROM devices WHERE {text}"):
        with suppress(QueryError):
            assert len(list(run(query, FLEET))) <= len(FLEET)


@given(st.text(max_size=200))
def test_random_text_is_run_or_refused(text: str) -> None:
    try:
        condition = compile_condition(text)
    except QueryError:
        return
    assert condition(FLEET[0]) in (True, False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner),
    max_leaves=5,
)


@given(JSON, JSON)
def test_any_document_can_be_asked(left: Any, right: Any) -> None:
    document = {"tags": {"x": left, "y": right}}
    comparisons = ["=", "!=", "<", ">="]
    terms = [f"tags.x {symbol} tags.y" for symbol in comparisons]
    terms += [f"tags.x {symbol} tags.y = 1" for symbol in "+-*/%"] + [
        "tags.x.x[0] = 1",
        "-tags.x = 1",
        "tags.x.y = 'a'",
    ]
    for term in terms:
        assert compile_condition(term)(document) in (True, False)
