"""What holds whatever comes in whatever order."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WINDOWS = [
    {"type": "tumbling", "size": 10},
    {"type": "tumbling", "size": 7, "offset": 3},
    {"type": "hopping", "size": 10, "hop": 4},
    {"type": "sliding", "size": 6},
    {"type": "session", "gap": 4},
]
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "t": st.integers(-40, 60) | st.decimals(-40, 60, places=3).map(float),
            "m": st.sampled_from("ab"),
            "v": st.floats(-1e9, 1e9),
        }
    ),
    min_size=1,
    max_size=40,
)
ALL_FUNCTIONS = {
    name: {"function": name, "of": "$body.v"}
    for name in ("count", "sum", "avg", "min", "max", "stddev", "stddevPopulation", "first", "last", "rate")
} | {"p": {"function": "percentile", "of": "$body.v", "p": 75}}


def ended(it: Any) -> Any:
    """Close all windows by a record far behind; it is in a group of its own and the last."""
    it.send({"t": 100_000, "m": "end", "v": 0})
    return it


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: str(window["type"]))
@given(data=st.data())
@settings(max_examples=60)
def test_any_order_within_the_lateness_gives_the_same_final_results(
    bench: Any, stands: Any, window: Any, data: st.DataObject
) -> None:
    records = data.draw(RECORDS)
    shuffled = data.draw(st.permutations(records))
    finals = []
    for order in (sorted(records, key=lambda record: record["t"]), shuffled):
        it = bench(window=window, allowedLateness=200, aggregates=ALL_FUNCTIONS)
        for record in order:
            it.send(record)
        finals.append(stands(ended(it).results))
        assert it.on("late") == []
    assert finals[0] == finals[1]


@pytest.mark.parametrize("window", WINDOWS[:2] + WINDOWS[4:], ids=lambda window: str(window["type"]))
@given(records=RECORDS, lateness=st.sampled_from([0, 5, 200]))
@settings(max_examples=60)
def test_every_record_is_in_one_window_or_reported_as_late(
    bench: Any, stands: Any, window: Any, records: list[Any], lateness: float
) -> None:
    it = bench(window=window, allowedLateness=lateness)
    for record in records:
        it.send(record)
    final = stands(ended(it).results)
    late = it.on("late")
    assert sum(values["n"] for values in final.values()) + len(late) == len(records)
    if not late:
        total = sum(Fraction(record["v"]) for record in records)
        assert sum(values["sum"] for values in final.values()) == pytest.approx(float(total), abs=1e-3)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: str(window["type"]))
@given(data=st.data())
@settings(max_examples=60)
def test_a_restart_at_any_moment_changes_no_emission(bench: Any, window: Any, data: st.DataObject) -> None:
    records = data.draw(RECORDS)
    cut = data.draw(st.integers(0, len(records)))
    changes = {"window": window, "allowedLateness": 10, "aggregates": ALL_FUNCTIONS}
    straight, broken = bench(**changes), bench(**changes)
    for at, record in enumerate(records):
        straight.send(record, message_id=f"m{at % 30}")
        if at == cut:
            broken.restart()
        broken.send(record, message_id=f"m{at % 30}")
    by_id = {emission.id: emission.document for emission in ended(straight).emissions}
    assert {emission.id: emission.document for emission in ended(broken).emissions} == by_id
    assert len(by_id) == len(straight.emissions)
    assert broken.engine.dump()["intake"] == straight.engine.dump()["intake"]


@given(times=st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_the_watermark_never_falls_and_windows_do_not_pile_up(bench: Any, times: list[int]) -> None:
    it = bench(allowedLateness=20)
    aggregation = it.engine.aggregations["one"]
    before = aggregation.watermark.value
    for time in times:
        it.times(time)
        assert aggregation.watermark.value >= before
        before = aggregation.watermark.value
        assert aggregation._windows.census.panes <= 4  # what 20 s of lateness and the window of the latest record keep
