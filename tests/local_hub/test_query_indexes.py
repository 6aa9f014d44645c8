from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.query import compile_condition, parse
from local_hub.hub import Hub
from local_hub.queries import indexes as query_indexes
from local_hub.queries.filters import filter_of, twin_column
from local_hub.queries.indexes import MOST_INDEXES
from local_hub.twins.scan import count_exactly
from transport.store import Store

_INSERT = """
INSERT INTO identities (device_id, module_id, generation_id, etag, status, authentication, iot_edge, parent_scopes,
    model_id, twin_etag, version, tags, desired, desired_metadata, desired_version, reported, reported_metadata,
    reported_version, configurations)
VALUES (?, '', 'g', 1, 'enabled', '{"type":"sas","x509Thumbprint":{}}', 0, '[]', '', 1, 2, ?, '{}', '{}', 1, '{}', '{}',
    1, '{}')
"""


def table(tags: list[Any]) -> sqlite3.Connection:
    """A table of twins with those tags, and an index on tags.a."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(Hub.schema()[0].read_text())
    rows = [(f"d{number:03}", orjson.dumps({"a": value}).decode()) for number, value in enumerate(tags)]
    connection.executemany(_INSERT, rows)
    query_indexes._replace(connection, new=("tags", "a"), old=[])
    return connection


texts = st.sampled_from(["", "x", "5", "true", '{"b":1}', "[1]", "x\0y", "\\u0000", "ä"]) | st.text(max_size=4)
numbers = (
    st.sampled_from([0, 1, 5, -1, 5.0, 0.1, 2**52])
    | st.integers(-(2**52), 2**52)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = texts.filter(lambda text: text.isprintable() or "\0" in text) | numbers | st.booleans()
nested = st.recursive(
    values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("b"), inner), max_leaves=3
)


def literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\u0000") + "'"
    return "true" if value is True else "false" if value is False else repr(value)


@given(tags=st.lists(nested, max_size=8), wanted=values)
def test_sqlite_lets_through_all_that_a_condition_takes_and_counts_no_more(tags: list[Any], wanted: Any) -> None:
    condition = compile_condition(f"tags.a = {literal(wanted)}")
    expected = {f"d{number:03}" for number, value in enumerate(tags) if condition({"tags": {"a": value}})}
    with table(tags) as connection:
        found = filter_of(condition, twin_column)
        where = " AND ".join(("TRUE", *found.conditions))
        passed = {
            row[0] for row in connection.execute(f"SELECT device_id FROM identities WHERE {where}", found.parameters)
        }
        assert expected <= passed
        assert count_exactly(connection, condition) in (None, len(expected))
    connection.close()


@given(tags=st.lists(nested, max_size=8), wanted=st.lists(values, min_size=1, max_size=3))
def test_sqlite_lets_through_all_members_of_a_list(tags: list[Any], wanted: list[Any]) -> None:
    condition = compile_condition(f"tags.a IN [{', '.join(map(literal, wanted))}]")
    expected = {f"d{number:03}" for number, value in enumerate(tags) if condition({"tags": {"a": value}})}
    with table(tags) as connection:
        found = filter_of(condition, twin_column)
        where = " AND ".join(("TRUE", *found.conditions))
        passed = {
            row[0] for row in connection.execute(f"SELECT device_id FROM identities WHERE {where}", found.parameters)
        }
        assert expected <= passed
    connection.close()


@pytest.mark.parametrize(
    ("where", "counts"),
    [
        ("tags.a = 'x'", True),
        ("tags.a = 'x' AND 5 = tags.b", True),
        ("tags.a = 1", False),
        ("tags.a = true", False),
        ("tags.a = '{}'", False),
        ("tags.a = 'x' OR tags.b = 5", False),
        ("tags.a = 'x' AND tags.b > 5", False),
        ("tags.a = tags.b", False),
        ("deviceId = 'd1'", False),
        ("tags.a = null", False),
    ],
)
def test_sqlite_alone_counts_only_what_it_cannot_mistake(where: str, counts: bool) -> None:
    with table([]) as connection:
        assert (count_exactly(connection, compile_condition(where)) is not None) is counts
    connection.close()


@pytest.fixture
async def fleet(hub: Hub) -> Hub:
    """As many twins as make an index worth it, half of them with tags.a = "x"."""
    rows = [(f"d{n:05}", '{"a":"x"}' if n % 2 else '{"a":"y"}') for n in range(query_indexes.WORTH_TWINS)]
    await hub.store.write(lambda connection: connection.executemany(_INSERT, rows))
    return hub


async def ask(hub: Hub, text: str) -> list[dict[str, Any]]:
    page = await hub.twins.query(text, 10, None)
    await hub.query_indexes.made()
    return [dict(row) for row in page.rows]


def indexes(hub: Hub) -> set[str]:
    statement = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'query_%'"
    return {name for (name,) in hub.store.read(lambda connection: connection.execute(statement).fetchall())}


def plan(hub: Hub, text: str) -> str:
    found = filter_of(parse(text).condition, twin_column)
    statement = (
        f"EXPLAIN QUERY PLAN SELECT device_id FROM identities WHERE module_id = '' AND {found.conditions[0]} "
        "AND (device_id, module_id) > (?, ?) ORDER BY device_id, module_id"
    )
    parameters = (*found.parameters, "d00007", "")
    return "; ".join(row[3] for row in hub.store.read(lambda it: it.execute(statement, parameters).fetchall()))


async def test_the_first_query_on_a_tag_makes_the_index_that_later_ones_use(fleet: Hub) -> None:
    text = "SELECT deviceId FROM devices WHERE tags.a = 'x'"
    before = await ask(fleet, text)
    assert len(indexes(fleet)) == 1
    assert await ask(fleet, text) == before
    assert "USING INDEX query_" in plan(fleet, text) or "USING COVERING INDEX query_" in plan(fleet, text)
    assert "TEMP B-TREE" not in plan(fleet, text)


async def test_counts_agree_with_what_queries_give(fleet: Hub) -> None:
    for _ in range(2):
        assert await ask(fleet, "SELECT COUNT() AS n FROM devices WHERE tags.a = 'x'") == [{"n": 1000}]
        assert await ask(fleet, "SELECT COUNT() AS n, COUNT() AS m FROM devices") == [{"n": 2000, "m": 2000}]


async def test_a_small_hub_gets_no_index(hub: Hub) -> None:
    await ask(hub, "SELECT * FROM devices WHERE tags.a = 'x'")
    assert indexes(hub) == set()


async def test_comparisons_and_columns_get_none(fleet: Hub) -> None:
    for where in ("tags.a > 'x'", "deviceId = 'd00001'", "status = 'enabled'", "tags.a = 'x' OR tags.b = 'x'"):
        await ask(fleet, f"SELECT * FROM devices WHERE {where}")
    assert indexes(fleet) == set()


async def test_indexes_are_few_and_replaced_no_faster_than_that(fleet: Hub) -> None:
    for number in range(MOST_INDEXES):
        await ask(fleet, f"SELECT * FROM devices WHERE tags.t{number} = 'x'")
    full = indexes(fleet)
    await ask(fleet, "SELECT * FROM devices WHERE tags.t0 = 'x'")
    await ask(fleet, "SELECT * FROM devices WHERE tags.one = 'x'")
    replaced = indexes(fleet)
    await ask(fleet, "SELECT * FROM devices WHERE tags.two = 'x'")
    assert indexes(fleet) == replaced
    assert len(full) == len(replaced) == MOST_INDEXES
    assert full - replaced == {query_indexes._name(("tags", "t1"))}


async def test_a_restart_remembers_them(fleet: Hub, open_hub: Callable[[], Awaitable[Hub]]) -> None:
    await ask(fleet, "SELECT * FROM devices WHERE properties.reported.battery.level = 7")
    again = await open_hub()
    store: Store = again.store
    assert again.query_indexes._used.keys() == {("properties", "reported", "battery", "level")}
    await again.stop()
    await store.close()
