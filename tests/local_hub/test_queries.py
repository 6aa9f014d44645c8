from __future__ import annotations

from typing import Any

import pytest

from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.query import parse
from local_hub.hub import Hub
from local_hub.queries.filters import Filter, filter_of, job_column, twin_column


def refusal(name: str) -> Any:
    return pytest.raises(HubError, match=f"^{name} ")


@pytest.fixture(autouse=True)
async def fleet(hub: Hub) -> None:
    """d0 … d9, the even ones in building B1 and the odd ones in B2; d0 has a module."""
    for number in range(10):
        await hub.registry.put_device(f"d{number}", {}, None)
        tags = {"building": f"B{number % 2 + 1}", "floor": number}
        await hub.twins.patch(Identity(f"d{number}"), {"tags": tags}, None)
    await hub.registry.put_module(Identity("d0", "m"), {}, None)


async def ids(hub: Hub, text: str, page_size: int = 100) -> list[str]:
    """The device ids of all pages."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = await hub.twins.query(text, page_size, token)
        found += [row["deviceId"] for row in page.rows]
        token = page.continuation
        if token is None:
            return found


async def test_whole_twins_are_given_as_they_are_read(hub: Hub) -> None:
    page = await hub.twins.query("SELECT * FROM devices WHERE deviceId = 'd3'", 100, None)
    assert page.rows == [hub.twins.get(Identity("d3"))]
    assert (page.item_type, page.continuation) == ("Twin", None)


async def test_projections_and_modules_and_counts(hub: Hub) -> None:
    projected = await hub.twins.query("SELECT deviceId, tags.floor FROM devices WHERE tags.floor > 8", 100, None)
    modules = await hub.twins.query("SELECT * FROM devices.modules", 100, None)
    counted = await hub.twins.query("SELECT tags.building, COUNT() AS n FROM devices GROUP BY tags.building", 100, None)
    assert (projected.rows, projected.item_type) == ([{"deviceId": "d9", "floor": 9}], "Raw")
    assert [row["moduleId"] for row in modules.rows] == ["m"]
    assert counted.rows == [{"building": "B1", "n": 5}, {"building": "B2", "n": 5}]


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 10, 100])
async def test_pages_give_each_row_once_and_in_order(hub: Hub, page_size: int) -> None:
    assert await ids(hub, "SELECT * FROM devices", page_size) == [f"d{number}" for number in range(10)]
    assert await ids(hub, "SELECT * FROM devices WHERE tags.building = 'B2'", page_size) == [
        "d1",
        "d3",
        "d5",
        "d7",
        "d9",
    ]


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5])
async def test_top_counts_over_pages(hub: Hub, page_size: int) -> None:
    assert await ids(hub, "SELECT TOP 4 * FROM devices", page_size) == ["d0", "d1", "d2", "d3"]


async def test_groups_are_paged_too(hub: Hub) -> None:
    text = "SELECT tags.floor, COUNT() AS n FROM devices GROUP BY tags.floor"
    first = await hub.twins.query(text, 6, None)
    second = await hub.twins.query(text, 6, first.continuation)
    assert [row["floor"] for row in (*first.rows, *second.rows)] == list(range(10))
    assert second.continuation is None


async def test_a_full_last_page_has_no_token(hub: Hub) -> None:
    assert (await hub.twins.query("SELECT * FROM devices", 10, None)).continuation is None
    assert (await hub.twins.query("SELECT * FROM devices", 9, None)).continuation is not None


async def test_a_bad_query_is_refused_in_the_services_words(hub: Hub) -> None:
    with pytest.raises(HubError) as caught:
        await hub.twins.query("SELECT everything", 100, None)
    assert (caught.value.name, caught.value.message) == ("ArgumentInvalid", "BadRequest")


async def test_a_token_of_another_query_is_refused(hub: Hub) -> None:
    token = (await hub.twins.query("SELECT * FROM devices", 1, None)).continuation
    for text, wrong in (("SELECT deviceId FROM devices", token), ("SELECT * FROM devices", "nonsense")):
        with refusal("ArgumentInvalid"):
            await hub.twins.query(text, 1, wrong)


async def test_who_is_connected_can_be_asked(hub: Hub, connect: Any) -> None:
    connect("d4")
    assert await ids(hub, "SELECT * FROM devices WHERE connectionState = 'Connected'") == ["d4"]


class TestFilters:
    """What SQLite judges first must never drop a document that the query takes."""

    @pytest.mark.parametrize(
        ("where", "conditions", "parameters"),
        [
            ("tags.building = 'B1'", ["json_extract(tags, '$.\"building\"') = ?"], ["B1"]),
            ("deviceId = 'd1' AND status = 'enabled'", ["device_id = ?", "status = ?"], ["d1", "enabled"]),
            ("properties.desired.a.b = 5", ['json_extract(desired, \'$."a"."b"\') = ?'], [5]),
            ("deviceId IN ['a', 'b']", ["device_id IN (SELECT value FROM json_each(?))"], ['["a","b"]']),
            ("tags.a = 1 OR tags.b = 2", [], []),
            ("connectionState = 'Connected'", [], []),
            ("tags.[[it's]] = 1", [], []),
            ("tags.n = 99999999999999999999", ["json_extract(tags, '$.\"n\"') = ?"], [1e20]),
        ],
    )
    def test_terms_of_the_outermost_and_become_sql(self, where: str, conditions: Any, parameters: Any) -> None:
        found = filter_of(parse(f"SELECT * FROM devices WHERE {where}").condition, twin_column)
        assert found == Filter(conditions=tuple(conditions), parameters=tuple(parameters))

    def test_device_jobs_have_columns_of_their_own(self) -> None:
        found = filter_of(parse("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j'").condition, job_column)
        assert found == Filter(conditions=("d.job_id = ?",), parameters=("j",))

    @pytest.mark.parametrize(
        "value", [1, 1.0, 1.5, True, False, "", "x", "ü", "it's", -(2**52), 2**52 - 1, 0.1, 1e300, '"', "\\"]
    )
    async def test_every_kind_of_value_is_found_again(self, hub: Hub, value: Any) -> None:
        await hub.twins.patch(Identity("d7"), {"tags": {"value": value}}, None)
        literal = value if not isinstance(value, str) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        text = str(literal).lower() if isinstance(value, bool) else str(literal)
        assert await ids(hub, f"SELECT * FROM devices WHERE tags.value = {text}") == ["d7"]
        assert await ids(hub, f"SELECT * FROM devices WHERE tags.value IN [{text}]") == ["d7"]

    async def test_true_is_not_one(self, hub: Hub) -> None:
        await hub.twins.patch(Identity("d7"), {"tags": {"value": True}}, None)
        assert await ids(hub, "SELECT * FROM devices WHERE tags.value = 1") == []
