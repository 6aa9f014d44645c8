"""Late data and silence: corrected, reported, never dropped without a word."""

from __future__ import annotations

from typing import Any


def test_a_late_record_within_the_lateness_gives_a_corrected_result(bench: Any) -> None:
    it = bench(allowedLateness=10)
    it.times(1, 10)
    it.times(2, v=5)
    first, second = it.results
    assert (second["revision"], second["supersedes"], second["values"]["sum"]) == (1, [first["id"]], 6)
    assert it.counts().corrections == 1
    assert it.on("late") == []


def test_a_late_record_of_a_new_group_gives_a_first_result_at_once(bench: Any) -> None:
    it = bench(allowedLateness=10)
    it.times(1, 10)
    it.times(2, m="b")
    assert [(r["group"]["m"], r["revision"]) for r in it.results] == [("a", 0), ("b", 0)]


def test_a_record_behind_the_lateness_is_reported_and_counted(bench: Any) -> None:
    it = bench(allowedLateness=10)
    it.times(1, 20)
    it.times(2, v=7)
    (report,) = it.on("late")
    assert report["record"] == {"t": 2, "m": "a", "v": 7}
    assert report["missed"] == [{"start": "1970-01-01T00:00:00.0000000Z", "end": "1970-01-01T00:00:10.0000000Z"}]
    assert report["watermark"] == "1970-01-01T00:00:20.0000000Z"
    assert (it.counts().late, len(it.results)) == (1, 1)


def test_a_record_that_misses_one_of_its_windows_counts_in_the_others(bench: Any) -> None:
    it = bench(window={"type": "hopping", "size": 10, "hop": 5})
    it.times(1, 12)
    it.times(7)
    assert [missed["end"][17:19] for missed in it.on("late")[0]["missed"]] == ["10"]
    it.times(30)
    assert ("00:15", 2) in it.sums


def test_reports_on_two_late_records_have_different_ids(bench: Any) -> None:
    it = bench()
    it.times(1, 20, 2, 2)
    late = [emission.id for emission in it.emissions if emission.output == "late"]
    assert len(set(late)) == 2


def test_silence_closes_windows_as_time_passes(bench: Any) -> None:
    it = bench(idleTimeout=5)
    it.times(1)
    it.silence(now=4)
    it.silence(now=8)
    assert it.results == []
    it.silence(now=9)
    assert it.sums == [("00:10", 1)]


def test_silence_moves_the_watermark_no_further_than_the_last_window(bench: Any) -> None:
    it = bench(idleTimeout=5)
    it.times(1)
    it.silence(now=10_000)
    it.times(11)
    assert it.on("late") == []
    assert it.engine.aggregations["one"].watermark.value == 11_000_000


def test_silence_counts_from_when_messages_could_come(bench: Any) -> None:
    it = bench(idleTimeout=5)
    it.times(1)
    it.silence(now=1000, since=998)
    assert it.results == []
    it.silence(now=1010, since=998)
    assert len(it.results) == 1


def test_without_an_idle_timeout_silence_closes_nothing(bench: Any) -> None:
    it = bench(idleTimeout=0)
    it.times(1)
    it.silence(now=1e6)
    assert it.results == []


def test_silence_closes_sessions_and_sliding_windows_too(bench: Any) -> None:
    for window in ({"type": "session", "gap": 5}, {"type": "sliding", "size": 5}):
        it = bench(window=window, idleTimeout=1)
        it.times(1)
        it.silence(now=20)
        assert len(it.results) == 1


def test_a_time_far_in_the_future_is_refused_and_moves_no_watermark(bench: Any) -> None:
    it = bench(maxAhead=60)
    it.send({"t": 100, "m": "a"}, arrival=50)
    it.send({"t": 200, "m": "a"}, arrival=50)
    assert "future" in it.on("errors")[0]["error"]
    assert it.counts().ahead == 1
    assert it.engine.aggregations["one"].watermark.value == 100_000_000
