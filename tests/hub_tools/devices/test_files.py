"""Files of devices: what is read, what is refused with its line, and that writing and reading lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_tools.devices import DeviceRecord, read_devices, write_devices
from hub_tools.devices.reading import parse_devices
from hub_tools.devices.record import cell_of, value_of
from iot_core.errors import InputError

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def test_a_csv_file_has_dotted_columns_and_cells_of_json_or_text() -> None:
    text = "deviceId,status,edge,tags.site.zone,tags.floor,desired.mode\nd1,disabled,yes,north,2,eco\nd2,,,,,null\n"
    first, second = parse_devices(text, "csv").records
    assert first == DeviceRecord(
        device_id="d1",
        status="disabled",
        edge=True,
        tags={"site": {"zone": "north"}, "floor": 2},
        desired={"mode": "eco"},
        line=2,
    )
    assert second == DeviceRecord(device_id="d2", desired={"mode": None}, line=3)


def test_a_json_file_is_an_array_whose_entries_know_their_lines() -> None:
    text = (
        '[\n {"deviceId": "d1", "tags": {"a": {"b": 1}}},\n\n {"deviceId": "d2",\n "edge": true}, {"deviceId": "d3"}\n]'
    )
    records = parse_devices(text, "json").records
    assert [(record.device_id, record.line) for record in records] == [("d1", 2), ("d2", 4), ("d3", 5)]
    assert records[0].tags == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bad id,,,", "bad id"),
        ("d1,sleeping,,", "enabled, disabled"),
        ("d1,,perhaps,", "yes nor no"),
        ("d1,,,,", "5 cells for 4 columns"),
        (",,,x", "needs its deviceId"),
        ("good,,,", "line 2 already"),
        ("d1,,,[null]", "tags"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_others_are_kept(line: str, words: str) -> None:
    found = parse_devices(f"deviceId,status,edge,tags.a\ngood,,,1\n{line}\nlast,,,2\n", "csv")
    assert [record.device_id for record in found.records] == ["good", "last"]
    [error] = found.errors
    assert error.line == 3
    assert words in str(error)


def test_a_line_after_a_cell_of_two_lines_has_the_number_an_editor_shows() -> None:
    found = parse_devices('deviceId,tags.note\nd1,"one\ntwo"\nbad id,x\n', "csv")
    assert [error.line for error in found.errors] == [4]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("id,tags.a\n", "csv", "deviceId"),
        ("deviceId,colour\n", "csv", "'colour'"),
        ("deviceId,tags.\n", "csv", "'tags.'"),
        ("deviceId,tags.a,tags.a\n", "csv", "same name"),
        ("", "csv", "deviceId"),
        ("{}", "json", "array"),
        ('[{"deviceId": "d1"}', "json", "comma or the end"),
        ('[\n{"deviceId": "d1",}]', "json", "line 2"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(text: str, kind: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_devices(text, kind)


def test_a_key_is_checked_and_never_shown() -> None:
    text = f"deviceId,primaryKey,secondaryKey\nd1,{KEY},{KEY}\nd2,{KEY},\nd3,c2VjcmV0!,{KEY}\n"
    found = parse_devices(text, "csv")
    assert [error.line for error in found.errors] == [3, 4]
    assert "c2VjcmV0" not in str(found.errors) + repr(found.records)


def test_the_format_is_that_of_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text('[{"deviceId": "d1"}]')
    assert [record.device_id for record in read_devices(tmp_path / "d.json").records] == ["d1"]
    (tmp_path / "d.txt").write_text("")
    with pytest.raises(InputError, match="--format"):
        read_devices(tmp_path / "d.txt")


LEAVES = st.text(max_size=5) | st.integers() | st.booleans()
VALUES: st.SearchStrategy[Any] = LEAVES | st.just({}) | st.lists(st.integers(), max_size=2)


@given(VALUES)
def test_a_cell_reads_back_as_the_value_it_was(value: Any) -> None:
    assert value_of(cell_of(value)) == value


TEXTS = st.text("ab 7,\"'\n-", min_size=1, max_size=6)
TAGS = st.dictionaries(
    st.sampled_from("abc"), TEXTS | st.integers(0, 9) | st.dictionaries(st.just("x"), TEXTS, min_size=1), max_size=3
)


@given(st.lists(TAGS, min_size=1, max_size=4), st.sampled_from(["csv", "json"]))
def test_what_is_written_is_read_back(tags: list[dict[str, Any]], kind: Any) -> None:
    records = [
        DeviceRecord(device_id=f"d{number}", status="enabled", edge=number == 1, tags=each)
        for number, each in enumerate(tags)
    ]
    found = parse_devices(write_devices(records, kind), kind)
    assert found.errors == []
    assert [(each.device_id, each.status, each.edge, each.tags) for each in found.records] == [
        (each.device_id, each.status, each.edge, each.tags) for each in records
    ]
