"""Definitions side by side, what is refused, what is counted, what is remembered."""

from __future__ import annotations

import re
from typing import Any

import pytest

from iot_core.message import Message
from modules.aggregator.settings import Definition

BASE: dict[str, Any] = {
    "window": {"type": "tumbling", "size": 10},
    "timestamp": {"path": "$body.t"},
    "aggregates": {"sum": {"function": "sum", "of": "$body.v"}},
    "outOfOrderness": 0,
    "maxAhead": 31_000_000,
}


def test_a_message_that_comes_twice_counts_once(bench: Any) -> None:
    it = bench()
    for _ in range(3):
        it.send({"t": 1, "m": "a", "v": 1}, message_id="m1")
    it.times(10)
    assert it.sums == [("00:10", 1)]
    assert it.engine.intake.duplicates == 2


def test_ids_are_told_apart_by_sender_and_forgotten_oldest_first(bench: Any) -> None:
    it = bench()
    it.define(one=it.engine.aggregations["one"].definition.model_dump(by_alias=True), remembered=2)
    for device in ("d1", "d2", "d3", "d1"):
        it.raw(Message(b'{"t": 1}', {}, {"messageId": "m", "connectionDeviceId": device}))
    assert it.engine.intake.duplicates == 0
    it.raw(Message(b'{"t": 1}', {}, {"messageId": "m", "connectionDeviceId": "d1"}))
    assert it.engine.intake.duplicates == 1


def test_changing_one_definition_leaves_the_state_of_the_others_alone(bench: Any) -> None:
    it = bench()
    it.define(one=BASE, two=BASE)
    it.send({"t": 1, "v": 1})
    it.define(one=BASE, two=BASE | {"window": {"type": "tumbling", "size": 5}}, generation="g2")
    it.send({"t": 2, "v": 2}, {"t": 10, "v": 0})
    found = {(r["definition"], r["window"]["end"][17:19], r["values"]["sum"]) for r in it.results}
    assert found == {("one", "10", 3), ("two", "05", 2)}
    assert it.counts("two").discarded == 1


def test_what_windows_do_not_depend_on_changes_in_place(bench: Any) -> None:
    it = bench()
    it.define(one=BASE)
    it.send({"t": 1, "v": 1})
    it.define(one=BASE | {"output": "minutes", "outOfOrderness": 2}, generation="g2")
    it.send({"t": 11, "v": 1})
    assert it.on("minutes") == []
    it.send({"t": 12, "v": 1})
    assert it.on("minutes")[0]["values"]["sum"] == 1


def test_a_definition_that_comes_back_gives_other_ids(bench: Any) -> None:
    it = bench()
    for generation in ("g1", "g2"):
        it.define(one=BASE, generation=generation)
        it.send({"t": 1, "v": 1}, {"t": 10, "v": 0})
        it.define(generation=generation)
    assert len({result["id"] for result in it.results}) == 2
    assert it.engine.intake.discarded == 2


def test_a_condition_chooses_the_records(bench: Any) -> None:
    it = bench(where="$body.v > 1 AND line = '7'")
    it.send({"t": 1, "m": "a", "v": 1}, {"t": 2, "m": "a", "v": 2}, {"t": 10, "m": "a", "v": 2}, line="7")
    it.send({"t": 3, "m": "a", "v": 2}, line="8")
    assert it.sums == [("00:10", 2)]


def test_groups_by_body_property_and_system_property(bench: Any) -> None:
    it = bench(groupBy={"tag": "$body.unit.tags[1]", "line": "Line", "device": "$connectionDeviceId"})
    body = b'[{"t": 1, "unit": {"tags": [0, true]}}, {"t": 10}]'
    it.raw(Message(body, {"line": "7"}, {"connectionDeviceId": "d1"}))
    assert it.results[0]["group"] == {"tag": True, "line": "7", "device": "d1"}


def test_numbers_in_properties_count_as_numbers(bench: Any) -> None:
    it = bench(aggregates={"sum": {"function": "sum", "of": "battery"}}, groupBy={})
    it.send({"t": 1}, battery="80.5")
    it.send({"t": 2}, battery="flat")
    it.send({"t": 10})
    assert it.sums == [("00:10", 80.5)]
    assert it.counts().unusable_values == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"t": "soon", "m": "a"}, "the time 'soon'"),
        ({"t": 1, "m": {"x": 1}}, "object or array"),
        ({"t": 1, "m": "x" * 600}, "512 are allowed"),
        ({"t": 1e15 + 0.5, "m": "a"}, "too far in the future|outside the years"),
    ],
)
def test_a_record_that_cannot_be_placed_is_reported_with_the_reason(bench: Any, record: Any, reason: str) -> None:
    it = bench()
    it.send(record)
    (report,) = it.on("errors")
    assert report["record"] == record
    assert re.search(reason, report["error"])
    assert it.counts().unreadable + it.counts().ahead == 1


@pytest.mark.parametrize("body", [b"\xff", b"[1]", b"", b'{"t": NaN}'])
def test_a_message_that_is_no_json_object_is_reported(bench: Any, body: bytes) -> None:
    it = bench()
    it.raw(Message(body))
    assert "body" in it.on("errors")[0]
    assert it.engine.intake.unreadable == 1


def test_a_group_beyond_the_limit_is_refused_reported_and_counted(bench: Any) -> None:
    it = bench(maxGroups=2)
    for group in ("a", "b", "c", "a"):
        it.times(1, m=group)
    assert it.counts().refused == 1
    assert "2 of 2 groups" in it.on("errors")[0]["error"]
    it.times(10, m="a")
    it.times(20, m="c")  # those of the first window are gone
    assert it.counts().refused == 1


def test_the_edge_hub_s_time_stands_in_for_a_missing_one(bench: Any) -> None:
    it = bench()
    it.raw(Message(b'{"m": "a", "v": 1}', {}, {"creationTimeUtc": "1970-01-01T00:00:03Z"}))
    it.raw(Message(b'{"m": "a", "v": 1}'), arrival=4)
    it.times(10)
    assert it.sums == [("00:10", 2)]
    assert it.counts().fallback_times == 2


def test_without_a_timestamp_the_edge_hub_s_time_is_the_time(bench: Any) -> None:
    it = bench(timestamp=None)
    it.raw(Message(b'{"m": "a", "v": 1}', {}, {"enqueuedTime": "1970-01-01T00:00:03Z"}))
    it.raw(Message(b'{"m": "a", "v": 1}'), arrival=10)
    assert it.sums == [("00:10", 1)]
    assert it.counts().fallback_times == 0


def test_a_mistake_in_one_definition_stops_neither_the_others_nor_the_messages(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = bench()
    it.define(bad=BASE, good=BASE)

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(it.engine.aggregations["bad"], "record", broken)
    it.send({"t": 1, "v": 1}, {"t": 10, "v": 1})
    assert [result["definition"] for result in it.results] == ["good"]
    assert it.engine.intake.failures == 2


def test_definitions_survive_json() -> None:
    definition = Definition.model_validate(BASE)
    assert Definition.model_validate(definition.model_dump(mode="json", by_alias=True)) == definition
