"""Each kind of window by example; conftest.Bench says how records are sent."""

from __future__ import annotations

from typing import Any

HOPPING = {"type": "hopping", "size": 10, "hop": 4}
SLIDING = {"type": "sliding", "size": 10}
SESSION = {"type": "session", "gap": 10}


def test_a_tumbling_window_closes_when_the_watermark_reaches_its_end(bench: Any) -> None:
    it = bench()
    it.times(1, 9.999999)
    assert it.results == []
    it.times(10)
    assert it.sums == [("00:10", 2)]


def test_windows_begin_at_1970_plus_the_offset_also_before_it(bench: Any) -> None:
    it = bench(window={"type": "tumbling", "size": 10, "offset": 3})
    it.times(-8, -7, 2, 3, 13)
    ends = [result["window"]["end"] for result in it.results]
    assert ends == ["1969-12-31T23:59:53.0000000Z", "1970-01-01T00:00:03.0000000Z", "1970-01-01T00:00:13.0000000Z"]
    assert [result["records"] for result in it.results] == [1, 2, 1]


def test_the_watermark_stays_behind_by_the_out_of_orderness(bench: Any) -> None:
    it = bench(outOfOrderness=5)
    it.times(1, 14.9, 2)
    assert it.results == []
    it.times(15)
    assert it.sums == [("00:10", 2)]


def test_hopping_windows_whose_hop_does_not_divide_their_size(bench: Any) -> None:
    it = bench(window=HOPPING)
    it.times(8, 9, 100)
    starts = [result["window"]["start"][14:19] for result in it.results]
    assert starts == ["00:00", "00:04", "00:08"]
    it.times(10, 100)
    it = bench(window=HOPPING)
    it.times(10, 100)
    assert [result["window"]["start"][14:19] for result in it.results] == ["00:04", "00:08"]


def test_a_sliding_window_is_what_the_last_seconds_before_each_record_held(bench: Any) -> None:
    it = bench(window=SLIDING)
    it.times(1, 5, 11, 11, 30)
    assert it.sums == [("00:01", 1), ("00:05", 2), ("00:11", 3)]
    assert it.results[-1]["window"]["start"] == "1970-01-01T00:00:01.0000000Z"


def test_a_late_record_corrects_every_sliding_window_that_holds_it(bench: Any) -> None:
    it = bench(window=SLIDING, allowedLateness=30)
    it.times(1, 5, 12, 30)
    before = len(it.results)
    it.times(4)
    corrections = it.results[before:]
    assert [(r["window"]["end"][17:19], r["values"]["sum"], r["revision"]) for r in corrections] == [
        ("04", 2, 0),
        ("05", 3, 1),
        ("12", 3, 1),
    ]


def test_a_session_is_records_less_than_a_gap_apart(bench: Any) -> None:
    it = bench(window=SESSION)
    it.times(0, 9.9, 19.9, 40)
    bounds = [(r["window"]["start"][14:21], r["window"]["end"][14:21]) for r in it.results]
    assert bounds == [("00:00.0", "00:19.9"), ("00:19.9", "00:29.9")]
    assert [r["records"] for r in it.results] == [2, 1]


def test_a_late_record_joins_two_sessions_and_supersedes_both(bench: Any) -> None:
    it = bench(window=SESSION, allowedLateness=60)
    it.times(0, 15, 40)
    first, second = it.results
    it.times(8)
    joined = it.results[-1]
    assert joined["supersedes"] == [first["id"], second["id"]]
    assert (joined["revision"], joined["records"]) == (1, 3)
    assert joined["window"]["start"] == first["window"]["start"]
    assert joined["window"]["end"] == second["window"]["end"]


def test_a_late_record_that_leads_a_closed_session_on_opens_it_again(bench: Any) -> None:
    it = bench(window=SESSION, allowedLateness=60)
    it.times(0, 11)
    assert [r["records"] for r in it.results] == [1]
    it.times(9)  # joins the closed session with the open one
    assert len(it.results) == 1
    it.times(40)
    assert it.results[-1]["records"] == 3
    assert it.results[-1]["supersedes"] == [it.results[0]["id"]]


def test_no_second_session_begins_where_one_has_been(bench: Any) -> None:
    it = bench(window=SESSION, allowedLateness=0)
    it.times(0, 5, 15)  # [0, 15) closes
    it.times(9)  # within a gap of its end: it cannot begin a session of its own that overlaps the first
    it.times(60)
    assert [(r["window"]["start"][17:19], r["revision"], r["records"]) for r in it.results][-1] == ("00", 1, 4)


def test_groups_have_windows_of_their_own(bench: Any) -> None:
    it = bench()
    it.send({"t": 1, "m": "a", "v": 1}, {"t": 2, "m": "b", "v": 2}, {"t": 3, "v": 3}, {"t": 10, "m": "a"})
    assert [(r["group"]["m"], r["values"]["sum"]) for r in it.results] == [("a", 1), ("b", 2), (None, 3)]


def test_a_window_without_values_has_a_count_and_no_sum(bench: Any) -> None:
    it = bench()
    it.send({"t": 1, "m": "a"}, {"t": 2, "m": "a", "v": None}, {"t": 10, "m": "a"})
    assert it.results[0]["values"] == {"sum": None, "n": 2}
