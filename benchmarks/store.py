"""How fast the durable store takes telemetry and small writes, beside a busy event loop and alone.

    python -m benchmarks.store [--seconds S] [--folder DIR]

Prints a table and writes benchmarks/results/store.json. The peer, "one row a message", is the same store used the plain
way: one INSERT per message, in the same group commits. Rates are of acknowledged records; FULL means that each was synced.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from transport.store import Store

RESULTS = Path(__file__).with_name("results")
RECORD = b"x" * 256
# Messages that devices have on their way at a time: 500 connections with 4 each.
CALLERS = 2_000
# What the loop computes before it lets others run, about what decoding a read of 50 packets takes.
BUSY_SLICE_S = 0.0005
# Python's default, and what the hub sets (local_hub.hub.SWITCH_INTERVAL_S).
SWITCH_INTERVALS_S = (5e-3, 1e-4)

SCHEMA = """
CREATE TABLE messages (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE twins (id INTEGER PRIMARY KEY, reported TEXT NOT NULL);
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
INSERT INTO twins SELECT i, json_object('battery', 100, 'memory', i, 'firmware', '1.0.0') FROM n;
"""

Call = Callable[[Store], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table."""

    name: str
    call: Call
    callers: int
    durability: Literal["full", "normal"] = "full"
    busy: bool = False
    switch_interval_s: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Acknowledged calls per second, and how much of the loop's own work was done meanwhile (slices per second)."""

    name: str
    durability: str
    callers: int
    busy: bool
    switch_interval_ms: float
    per_second: float
    loop_slices_per_second: float


async def append(store: Store) -> object:
    return await store.append("telemetry", [RECORD])


async def one_row(store: Store) -> object:
    return await store.write(lambda c: c.execute("INSERT INTO messages (body) VALUES (?)", (RECORD,)).lastrowid)


def patch_twin(connection: sqlite3.Connection) -> None:
    """Reads one of 10,000 twins, changes it in Python and writes it back."""
    number = time.perf_counter_ns() % 10_000
    (text,) = connection.execute("SELECT reported FROM twins WHERE id = ?", (number,)).fetchone()
    document = json.loads(text) | {"battery": number % 100}
    connection.execute("UPDATE twins SET reported = ? WHERE id = ?", (json.dumps(document), number))


async def patch(store: Store) -> object:
    return await store.write(patch_twin)


def cases() -> Iterator[Case]:
    for interval in SWITCH_INTERVALS_S:
        for name, call in (("append", append), ("one row a message", one_row)):
            yield Case(name=name, call=call, callers=CALLERS, busy=True, switch_interval_s=interval)
    for name, call in (("append", append), ("one row a message", one_row)):
        yield Case(name=name, call=call, callers=CALLERS)
    yield Case(name="append", call=append, callers=CALLERS, durability="normal")
    for durability in ("full", "normal"):
        for callers in (1, 100):
            yield Case(name="twin patch", call=patch, callers=callers, durability=durability)
    for interval in SWITCH_INTERVALS_S:
        yield Case(name="twin patch", call=patch, callers=100, busy=True, switch_interval_s=interval)


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


async def measure(case: Case, folder: Path, seconds: float) -> Measured:
    schema = folder / "schema_v1.sql"
    schema.write_text(SCHEMA)
    store = Store.open(folder / "store.db", schema=[schema], durability=case.durability)
    with switch_interval(case.switch_interval_s):
        started = time.perf_counter()
        done, slices = await _run(case, store, started + seconds)
        took = time.perf_counter() - started
    await store.close()
    return Measured(
        name=case.name,
        durability=case.durability,
        callers=case.callers,
        busy=case.busy,
        switch_interval_ms=case.switch_interval_s * 1000,
        per_second=done / took,
        loop_slices_per_second=slices / took,
    )


async def _run(case: Case, store: Store, end: float) -> tuple[int, int]:
    """(calls acknowledged, slices of other work done) until the time is over."""

    async def caller() -> int:
        done = 0
        while time.perf_counter() < end:
            await case.call(store)
            done += 1
        return done

    async def other_work() -> int:
        slices = 0
        while time.perf_counter() < end:
            stop = time.perf_counter() + BUSY_SLICE_S
            while time.perf_counter() < stop:
                pass
            slices += 1
            await asyncio.sleep(0)
        return slices

    work = asyncio.ensure_future(other_work()) if case.busy else None
    done = sum(await asyncio.gather(*(caller() for _ in range(case.callers))))
    return done, await work if work else 0


def format_table(rows: list[Measured]) -> str:
    head = f"{'':20}{'sync':>8}{'callers':>9}{'loop':>7}{'switch':>9}{'per second':>13}{'loop slices/s':>15}"
    lines = [
        f"{row.name:20}{row.durability:>8}{row.callers:>9,}{'busy' if row.busy else 'free':>7}"
        f"{row.switch_interval_ms:>6.1f} ms{row.per_second:>13,.0f}"
        + (f"{row.loop_slices_per_second:>15,.0f}" if row.busy else "")
        for row in rows
    ]
    return "\n".join((head, *lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each line is measured")
    parser.add_argument("--folder", type=Path, help="where the databases are made; the disk under it is measured")
    arguments = parser.parse_args()
    rows = []
    for case in cases():
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            rows.append(asyncio.run(measure(case, Path(folder), arguments.seconds)))
            print(f"{len(rows)}: {case.name}", file=sys.stderr)
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "system": platform.platform()}
    (RESULTS / "store.json").write_text(
        json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2)
    )


if __name__ == "__main__":
    main()
