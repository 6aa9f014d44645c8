"""Streams of the store: what lies at a record or a time, appends that belong to a write, and dropping the oldest."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot_core.errors import StoreError
from transport import store_streams
from transport.store import Appended, Store
from transport.store_schema import prepare
from transport.store_segments import encode_records


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "streams.db", schema=[])
    yield opened
    await opened.close()


async def fill(store: Store, stamps: list[float]) -> None:
    """One segment of two records for each time."""
    for number, stamp in enumerate(stamps):
        await store.append("s", [b"%d" % (2 * number), b"%d" % (2 * number + 1)], stamp=stamp)


async def drop(store: Store, record: int, limit: int = 100) -> int:
    return await store.write(partial(store_streams.drop_before, stream="s", record=record, limit=limit))


async def test_an_unknown_stream_is_empty_and_begins_at_0(store: Store) -> None:
    def ask(connection: sqlite3.Connection) -> list[object]:
        functions = (store_streams.first_record, store_streams.end_of, store_streams.written_last)
        return [function(connection, "nobody") for function in functions]

    assert store.read(ask) == [0, 0, None]
    assert store.read(lambda connection: store_streams.first_after(connection, "nobody", 5.0)) == 0


async def test_a_segment_gives_its_records_from_any_number_on(store: Store) -> None:
    await store.append("s", [b"%d" % number for number in range(5)])
    segment = store.read(lambda connection: store_streams.segment_at(connection, "s", 3))
    assert segment is not None
    assert list(segment.records_from(3)) == [b"3", b"4"]
    assert list(segment.records_from(0)) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(("time", "record"), [(0.0, 0), (10.0, 0), (10.5, 2), (20.0, 2), (21.0, 4), (31.0, 6)])
async def test_the_first_record_at_a_time_or_later_is_found(store: Store, time: float, record: int) -> None:
    await fill(store, [10.0, 20.0, 30.0])
    assert store.read(lambda connection: store_streams.first_after(connection, "s", time)) == record


async def test_times_never_fall_along_a_stream_also_after_a_restart(tmp_path: Path) -> None:
    for stamp in (50.0, 10.0):
        store = Store.open(tmp_path / "streams.db", schema=[])
        await store.append("s", [b"x"], stamp=stamp)
        assert store.read(lambda connection: store_streams.written_last(connection, "s")) == 50.0
        await store.close()


async def test_the_oldest_segments_are_dropped_and_the_numbers_go_on(store: Store) -> None:
    await fill(store, [1.0, 2.0, 3.0])
    assert await drop(store, 4) == 2
    assert [int(record) for record in store.records("s")] == [4, 5]
    assert await store.append("s", [b"next"]) == 6


async def test_a_segment_that_holds_the_record_stays(store: Store) -> None:
    await fill(store, [1.0, 2.0])
    assert await drop(store, 1) == 0


async def test_the_last_segment_is_never_dropped_because_numbers_follow_from_it(tmp_path: Path) -> None:
    for expected in (0, 2, 4):
        store = Store.open(tmp_path / "streams.db", schema=[])
        assert await store.append("s", [b"a", b"b"]) == expected
        await drop(store, 1000)
        assert store.read(lambda connection: store_streams.end_of(connection, "s")) == expected + 2
        await store.close()


async def test_no_more_segments_are_dropped_at_once_than_asked(store: Store) -> None:
    await fill(store, [1.0] * 6)
    assert [await drop(store, 12, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_the_excess_is_measured_from_the_oldest_on(store: Store) -> None:
    await fill(store, [1.0] * 4)
    size = store.read(lambda connection: store_streams.size_of(connection, "s"))
    each = size // 4

    def beyond(excess: int) -> int:
        return store.read(lambda connection: store_streams.first_beyond(connection, "s", excess))

    assert [beyond(excess) for excess in (0, 1, each, each + 1, size)] == [0, 2, 2, 4, 8]


class TestAppendsOfAWrite:
    async def test_they_share_its_transaction_and_see_its_result(self, store: Store) -> None:
        def records(_connection: sqlite3.Connection, result: int) -> list[Appended]:
            return [Appended(stream=name, records=(b"%d" % result,), stamp=7.0) for name in ("a", "b")]

        await store.write(lambda _connection: 42, appends=records)
        assert [list(store.records(name)) for name in ("a", "b")] == [[b"42"], [b"42"]]

    async def test_a_write_that_fails_appends_nothing(self, store: Store) -> None:
        def fail(_connection: sqlite3.Connection) -> int:
            raise ValueError("no")

        def one(_connection: sqlite3.Connection, _result: int) -> list[Appended]:
            return [Appended(stream="a", records=(b"x",), stamp=1.0)]

        with pytest.raises(ValueError, match="no"):
            await store.write(fail, appends=one)
        assert list(store.records("a")) == []

    async def test_when_they_cannot_be_told_the_write_is_undone(self, store: Store) -> None:
        def fail(connection: sqlite3.Connection, _result: object) -> list[Appended]:
            connection.execute("nonsense")
            return []

        with pytest.raises(StoreError, match="nonsense"):
            await store.write(lambda connection: connection.execute("CREATE TABLE t (a)"), appends=fail)
        assert (
            store.read(
                lambda connection: connection.execute("SELECT name FROM sqlite_master WHERE name = 't'").fetchall()
            )
            == []
        )

    async def test_they_keep_the_order_of_the_calls(self, store: Store) -> None:
        def of(number: int) -> object:
            if number % 2:
                return store.append("a", [b"%d" % number], stamp=1.0)
            records = (b"%d" % number,)
            return store.write(
                lambda _c: None, appends=lambda _c, _r: [Appended(stream="a", records=records, stamp=1.0)]
            )

        await asyncio.gather(*(of(number) for number in range(20)))  # type: ignore[call-overload]
        assert [int(record) for record in store.records("a")] == list(range(20))


@given(
    counts=st.lists(st.integers(1, 4), max_size=12),
    steps=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    time=st.integers(-1, 40),
)
def test_halving_finds_what_a_scan_finds(counts: list[int], steps: list[int], time: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection, Path("memory"), [])
    firsts = [0, *itertools.accumulate(counts)]
    times = list(itertools.accumulate(steps))
    for first, count, written in zip(firsts, counts, times, strict=False):
        connection.execute(
            "INSERT INTO segments VALUES ('s', ?, ?, ?, ?)", (first, count, written, encode_records([b"x"] * count))
        )
    wanted = next((first for first, written in zip(firsts, times, strict=False) if written >= time), firsts[-1])
    wanted = min(wanted, firsts[-1])
    assert store_streams.first_after(connection, "s", time) == wanted
    connection.close()
