"""The promise behind every acknowledgement: synced first, told after; and nothing is told that was not kept."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from iot_core.errors import StoreError
from transport.store import Store
from transport.store_writer import Item, Writer

TABLE = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"


@pytest.fixture
def schema(tmp_path: Path) -> list[Path]:
    (tmp_path / "notes_v1.sql").write_text(TABLE)
    return [tmp_path / "notes_v1.sql"]


def add_note(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO notes (text) VALUES ('x')")


def count_notes(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])
    finally:
        connection.close()


class HeldWriter(Writer):
    """Stops before each commit until it is let go on."""

    at_commit = threading.Event()
    go_on = threading.Event()

    def commit(self) -> None:
        self.at_commit.set()
        assert self.go_on.wait(10)
        super().commit()


class RecordingWriter(Writer):
    """Notes commits and acknowledgements in the order they happen."""

    history: list[str]

    def commit(self) -> None:
        super().commit()
        self.history.append("committed")

    def acknowledge(self, group: list[Item]) -> None:
        self.history.append(f"acknowledged {len(group)}")
        super().acknowledge(group)


class FailingWriter(Writer):
    """Fails to commit with an error of the disk."""

    def commit(self) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error


class TestOrder:
    async def test_nothing_is_acknowledged_before_the_commit_has_returned(
        self, tmp_path: Path, schema: list[Path]
    ) -> None:
        HeldWriter.at_commit, HeldWriter.go_on = threading.Event(), threading.Event()
        store = Store.open(tmp_path / "a.db", schema=schema, writer=HeldWriter)
        told: list[str] = []
        write = asyncio.ensure_future(store.write(add_note, after=lambda _: told.append("write")))
        append = asyncio.ensure_future(store.append("telemetry", [b"x"], after=lambda _: told.append("append")))
        await asyncio.to_thread(HeldWriter.at_commit.wait, 10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not write.done()
        assert not append.done()
        assert told == []
        assert count_notes(tmp_path / "a.db") == 0
        HeldWriter.go_on.set()
        await asyncio.gather(write, append)
        assert sorted(told) == ["append", "write"]
        await store.close()

    async def test_every_group_is_committed_then_acknowledged(self, tmp_path: Path, schema: list[Path]) -> None:
        RecordingWriter.history = []
        store = Store.open(tmp_path / "a.db", schema=schema, writer=RecordingWriter)
        await store.write(add_note)
        await asyncio.gather(*(store.write(add_note) for _ in range(10)))
        await store.close()
        assert RecordingWriter.history[:2] == ["committed", "acknowledged 1"]
        assert RecordingWriter.history[::2] == ["committed"] * (len(RecordingWriter.history) // 2)

    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
    async def test_commits_sync_the_log_when_durability_is_full(
        self, tmp_path: Path, schema: list[Path], durability: str, level: int
    ) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema, durability="full" if durability == "full" else "normal")
        pragmas = await store.write(
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
            ]
        )
        await store.close()
        assert pragmas == ["wal", level]

    async def test_a_copy_taken_at_the_acknowledgement_holds_the_write(
        self, tmp_path: Path, schema: list[Path]
    ) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema)
        for number in range(1, 6):
            await store.write(add_note)
            copy = tmp_path / f"copy{number}"
            copy.mkdir()
            for name in ("a.db", "a.db-wal"):
                shutil.copy(tmp_path / name, copy)
            assert count_notes(copy / "a.db") == number
        await store.close()


class TestFailure:
    async def test_a_full_disk_fails_everything_that_waits_and_keeps_nothing_of_it(
        self, tmp_path: Path, schema: list[Path]
    ) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema)
        await store.write(add_note)
        await store.write(_allow_pages_beyond_the_present(5))
        told: list[object] = []
        outcomes = await asyncio.gather(
            store.write(add_note, after=told.append),
            store.append("telemetry", [b"x" * 100_000], after=told.append),
            store.write(add_note, after=told.append),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [StoreError] * 3
        assert "full" in str(outcomes[0])
        assert told == []
        assert count_notes(tmp_path / "a.db") == 1
        await store.close()

    async def test_the_store_goes_on_when_the_disk_has_room_again(self, tmp_path: Path, schema: list[Path]) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema)
        await store.write(_allow_pages_beyond_the_present(5))
        with pytest.raises(StoreError, match="full"):
            await store.append("telemetry", [b"x" * 100_000])
        await store.write(_allow_pages_beyond_the_present(1000))
        assert await store.append("telemetry", [b"x" * 100_000]) == 0
        assert len(list(store.records("telemetry"))) == 1
        await store.close()

    async def test_after_a_failed_sync_nothing_more_is_taken(self, tmp_path: Path, schema: list[Path]) -> None:
        store = Store.open(tmp_path / "a.db", schema=schema, writer=FailingWriter)
        for _ in range(2):
            with pytest.raises(StoreError, match="disk I/O error; nothing of this write was kept"):
                await store.write(add_note)
        await store.close()
        assert count_notes(tmp_path / "a.db") == 0

    async def test_a_real_write_error_of_the_disk_acknowledges_nothing(self, tmp_path: Path) -> None:
        """The system refuses to let the process's files grow beyond a limit: the log's write fails."""
        script = f"""
import asyncio, pathlib, resource, signal, sys
from transport.store import Store
from iot_core.errors import StoreError

async def main():
    store = Store.open(pathlib.Path({str(tmp_path / "a.db")!r}), schema=[])
    await store.append("telemetry", [b"first"])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    for number in range(2):
        try:
            await store.append("telemetry", [b"x" * 1_000_000])
            print("acknowledged")
        except StoreError as error:
            print("refused:", error)
    print(len(list(store.records("telemetry"))))
    await store.close()

asyncio.run(main())
"""
        lines = _python(script).splitlines()
        assert [line.partition(":")[0] for line in lines] == ["refused", "refused", "1"]


class TestKill:
    async def test_every_acknowledged_write_survives_a_killed_process(self, tmp_path: Path) -> None:
        script = f"""
import asyncio, pathlib, sys
from transport.store import Store

async def writer(store, name):
    for number in range(1_000_000):
        await store.append(name, [b"%d" % number])
        sys.stdout.write(f"{{name}} {{number}}\\n")
        sys.stdout.flush()

async def main():
    store = Store.open(pathlib.Path({str(tmp_path / "a.db")!r}), schema=[])
    await asyncio.gather(*(writer(store, name) for name in "abc"))

asyncio.run(main())
"""
        acknowledged = _lines_until_killed(script, 300)
        store = Store.open(tmp_path / "a.db", schema=[])
        for name in "abc":
            told = [line.split()[1] for line in acknowledged if line.startswith(name)]
            kept = [record.decode() for record in store.records(name)]
            assert kept[: len(told)] == told
        await store.close()


def _allow_pages_beyond_the_present(more: int) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + more}")

    return work


def _lines_until_killed(script: str, lines: int) -> list[str]:
    """What a program printed until it was killed in full flight, at least so many lines."""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        printed += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return printed


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _python(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30, env=_environment()
    ).stdout
