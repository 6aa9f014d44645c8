from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from iot_core.errors import InputError, StoreError
from transport.store import Store

TABLE = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);"


def schema_files(folder: Path, *scripts: str) -> list[Path]:
    files = []
    for number, script in enumerate(scripts, start=1):
        files.append(folder / f"notes_v{number}.sql")
        files[-1].write_text(script)
    return files


def note(text: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))

    return work


def notes(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


def modes_of(folder: Path, pattern: str) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in folder.glob(pattern)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "notes.db", schema=schema_files(tmp_path, TABLE))
    yield opened
    await opened.close()


class TestWrites:
    async def test_a_write_gives_its_result_and_can_be_read(self, store: Store) -> None:
        result = await store.write(lambda connection: connection.execute("SELECT 6 * 7").fetchone()[0])
        await store.write(note("a"))
        assert result == 42
        assert store.read(notes) == ["a"]
        assert await store.aread(notes) == ["a"]

    async def test_writes_take_effect_in_the_order_of_the_calls(self, store: Store) -> None:
        texts = [f"{number}" for number in range(100)]
        await asyncio.gather(*(store.write(note(text)) for text in texts))
        assert store.read(notes) == texts

    async def test_a_write_that_raises_undoes_itself_and_nothing_else(self, store: Store) -> None:
        def broken(connection: sqlite3.Connection) -> None:
            note("half")(connection)
            raise InputError("no")

        before, failed, after = await asyncio.gather(
            store.write(note("before")), store.write(broken), store.write(note("after")), return_exceptions=True
        )
        assert isinstance(failed, InputError)
        assert (before, after) == (None, None)
        assert store.read(notes) == ["before", "after"]

    async def test_a_database_error_becomes_a_store_error_of_that_write_alone(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            store.write(note("same")), store.write(note("same")), store.write(note("other")), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), StoreError, type(None)]
        assert store.read(notes) == ["same", "other"]

    async def test_a_cancelled_caller_does_not_undo_its_write(self, store: Store) -> None:
        told: list[None] = []
        caller = asyncio.ensure_future(store.write(note("kept"), after=told.append))
        await asyncio.sleep(0)
        caller.cancel()
        await store.write(note("next"))
        assert store.read(notes) == ["kept", "next"]
        assert told == [None]

    async def test_what_follows_a_write_comes_in_order_and_before_the_caller_goes_on(self, store: Store) -> None:
        told: list[str] = []

        async def write(text: str) -> None:
            await store.write(lambda _: text, after=lambda result: told.append(f"after {result}"))
            told.append(f"caller {text}")

        await asyncio.gather(write("a"), write("b"))
        assert told.index("after a") < told.index("after b")
        assert told.index("after a") < told.index("caller a")

    async def test_a_failure_of_what_follows_reaches_the_loop_and_harms_no_other_write(self, store: Store) -> None:
        heard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

        def broken(_result: None) -> None:
            raise ValueError("listener")

        await asyncio.gather(store.write(note("a"), after=broken), store.write(note("b")))
        assert store.read(notes) == ["a", "b"]
        assert isinstance(heard[0]["exception"], ValueError)

    async def test_a_reader_cannot_write(self, store: Store) -> None:
        with pytest.raises(StoreError, match="readonly"):
            store.read(note("sneaked in"))

    async def test_a_read_sees_one_snapshot(self, store: Store) -> None:
        await store.write(note("first"))
        started, go_on = threading.Event(), threading.Event()

        def two_looks(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
            before = notes(connection)
            started.set()
            go_on.wait(10)
            return before, notes(connection)

        looks = asyncio.ensure_future(store.aread(two_looks))
        await asyncio.to_thread(started.wait, 10)
        await store.write(note("meanwhile"))
        go_on.set()
        assert await looks == (["first"], ["first"])


class TestStreams:
    async def test_records_come_back_as_they_were_appended(self, store: Store) -> None:
        records = [b"one", b"", b"\x00\xff" * 300]
        await store.append("telemetry", records)
        assert list(store.records("telemetry")) == records

    async def test_an_append_gives_the_number_of_its_first_record(self, store: Store) -> None:
        assert await store.append("a", [b"0", b"1"]) == 0
        assert await store.append("a", [b"2"]) == 2
        assert await store.append("b", [b"0"]) == 0

    async def test_reading_may_start_at_any_record(self, store: Store) -> None:
        for start in range(0, 9, 3):
            await store.append("a", [b"%d" % number for number in range(start, start + 3)])
        assert [b"".join(store.records("a", first)) for first in (0, 4, 6, 8, 9)] == [
            b"012345678",
            b"45678",
            b"678",
            b"8",
            b"",
        ]

    async def test_what_is_appended_together_shares_one_segment_per_stream(self, store: Store) -> None:
        gate = threading.Event()
        blocker = asyncio.ensure_future(store.write(lambda _: gate.wait(10)))
        await asyncio.sleep(0)
        appends = [asyncio.ensure_future(store.append(name, [b"x"])) for name in ("a", "b") for _ in range(50)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(blocker, *appends)
        segments = store.read(lambda connection: connection.execute("SELECT stream, count FROM segments").fetchall())
        assert sorted(segments) == [("a", 50), ("b", 50)]
        assert [append.result() for append in appends[:50]] == list(range(50))

    async def test_a_large_commit_is_split_over_segments(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("transport.store_segments.MAX_SEGMENT_BYTES", 10)
        await store.append("a", [b"123456", b"789", b"abcdefghijklmn", b"o"])
        counts = store.read(lambda connection: connection.execute("SELECT count FROM segments").fetchall())
        assert counts == [(2,), (1,), (1,)]
        assert b"".join(store.records("a")) == b"123456789abcdefghijklmno"

    async def test_an_empty_append_adds_nothing(self, store: Store) -> None:
        assert await store.append("a", []) == 0
        assert list(store.records("a")) == []

    async def test_an_overlong_record_is_refused(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("transport.store.MAX_RECORD_BYTES", 3)
        with pytest.raises(StoreError, match="longer than 3 bytes"):
            await store.append("a", [b"1234"])

    async def test_numbers_go_on_after_a_restart(self, tmp_path: Path) -> None:
        schema = schema_files(tmp_path, TABLE)
        for expected in (0, 2):
            store = Store.open(tmp_path / "a.db", schema=schema)
            assert await store.append("a", [b"x", b"y"]) == expected
            await store.close()

    async def test_a_damaged_segment_is_told_apart_from_an_empty_one(self, store: Store) -> None:
        await store.append("a", [b"whole"])
        await store.write(lambda connection: connection.execute("UPDATE segments SET records = x'050000' "))
        with pytest.raises(StoreError, match="cut short"):
            list(store.records("a"))


class TestFiles:
    async def test_only_the_owner_may_read_it(self, store: Store, tmp_path: Path) -> None:
        await store.write(note("secret"))
        assert modes_of(tmp_path, "notes.db*") == [0o600] * 3

    async def test_closing_writes_what_waits(self, tmp_path: Path) -> None:
        schema = schema_files(tmp_path, TABLE)
        store = Store.open(tmp_path / "a.db", schema=schema)
        waiting = [asyncio.ensure_future(store.write(note(f"{number}"))) for number in range(20)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*waiting)
        again = Store.open(tmp_path / "a.db", schema=schema)
        assert len(again.read(notes)) == 20
        await again.close()

    async def test_a_closed_store_refuses_everything(self, tmp_path: Path) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema_files(tmp_path, TABLE))
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await store.write(note("late"))
        with pytest.raises(StoreError, match="closed"):
            store.read(notes)
        with pytest.raises(StoreError, match="closed"):
            await store.aread(notes)

    async def test_a_newer_schema_file_is_applied_on_top(self, tmp_path: Path) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema_files(tmp_path, TABLE))
        await store.write(note("old"))
        await store.close()
        migrated = Store.open(
            tmp_path / "a.db", schema=schema_files(tmp_path, TABLE, "ALTER TABLE notes ADD COLUMN mark TEXT;")
        )
        assert migrated.read(lambda connection: connection.execute("SELECT * FROM notes").fetchall()) == [
            (1, "old", None)
        ]
        await migrated.close()

    async def test_a_migration_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        await Store.open(tmp_path / "a.db", schema=schema_files(tmp_path, TABLE)).close()
        broken = schema_files(tmp_path, TABLE, "CREATE TABLE more (id); CREATE TABLE notes (id);")
        with pytest.raises(StoreError, match="already exists"):
            Store.open(tmp_path / "a.db", schema=broken)
        store = Store.open(tmp_path / "a.db", schema=broken[:1])
        tables = store.read(lambda connection: connection.execute("SELECT name FROM sqlite_master").fetchall())
        assert ("more",) not in tables
        await store.close()

    async def test_a_newer_schema_version_is_refused(self, tmp_path: Path) -> None:
        await Store.open(tmp_path / "a.db", schema=schema_files(tmp_path, TABLE, "CREATE TABLE more (id);")).close()
        with pytest.raises(StoreError, match="schema version 2 is newer than this program's 1"):
            Store.open(tmp_path / "a.db", schema=schema_files(tmp_path, TABLE))

    async def test_a_newer_format_is_refused(self, tmp_path: Path) -> None:
        await Store.open(tmp_path / "a.db", schema=[]).close()
        with sqlite3.connect(tmp_path / "a.db") as raw:
            raw.execute(f"PRAGMA application_id = {0x45595302}")
        raw.close()
        with pytest.raises(StoreError, match="format 2 is newer"):
            Store.open(tmp_path / "a.db", schema=[])

    async def test_a_foreign_database_is_refused(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "a.db") as raw:
            raw.execute("CREATE TABLE other (id)")
        raw.close()
        with pytest.raises(StoreError, match="not a store of this program"):
            Store.open(tmp_path / "a.db", schema=[])

    async def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").write_bytes(b"not a database, but long enough to look at" * 30)
        with pytest.raises(StoreError, match="not a database"):
            Store.open(tmp_path / "a.db", schema=[])

    async def test_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be opened"):
            Store.open(tmp_path / "none" / "a.db", schema=[])
