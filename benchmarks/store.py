"""How fast the durable store takes telemetry and small writes, beside a busy event loop and alone.

    python -m benchmarks.store [--seconds S] [--runs N] [--folder DIR]

Prints a table and writes benchmarks/results/store.json. The peer, "one row a message", is the same store used the
plain way: one INSERT per message, in the same group commits. Rates are of acknowledged records; with sync "full" each
was synced before. A busy loop computes in slices of the length given and polls between them; "unaided" lines have no
handover (transport.store_handover), so the writer gets the interpreter only by the switch interval.
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
from transport.store_writer import Writer

RESULTS = Path(__file__).with_name("results")
RECORD = b"x" * 256
# Messages that devices have on their way at a time: 500 connections with 4 each.
CALLERS = 2_000
# What the loop computes between two polls: decoding one packet, and decoding a read of some 50.
BUSY_SLICES_MS = (0.05, 0.5)
# Python's default, and what the hub sets (local_hub.hub.SWITCH_INTERVAL_S).
SWITCH_INTERVALS_MS = (5.0, 0.1)

SCHEMA = """
CREATE TABLE messages (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE twins (id INTEGER PRIMARY KEY, reported TEXT NOT NULL);
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
INSERT INTO twins SELECT i, json_object('battery', 100, 'memory', i, 'firmware', '1.0.0') FROM n;
"""

Call = Callable[[Store], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table; ``busy_ms`` 0 leaves the loop free."""

    name: str
    call: Call
    callers: int
    durability: Literal["full", "normal"] = "full"
    busy_ms: float = 0.0
    switch_ms: float = 0.1
    unaided: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Acknowledged calls per second in the worst and the best run (without a handover they lie far apart, by luck), and
    the share of its time that the loop had for other work in the worst.
    """

    name: str
    durability: str
    callers: int
    busy_ms: float
    switch_ms: float
    unaided: bool
    worst_per_second: float
    best_per_second: float
    loop_share: float


class UnaidedWriter(Writer):
    """A writer that never seems to need the event loop to give way."""

    @property
    def has_work(self) -> bool:
        return False


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
    for name, call, callers in (
        ("append", append, CALLERS),
        ("one row a message", one_row, CALLERS),
        ("twin patch", patch, 100),
    ):
        for busy in BUSY_SLICES_MS:
            for switch in SWITCH_INTERVALS_MS:
                for unaided in (True, False):
                    yield Case(name=name, call=call, callers=callers, busy_ms=busy, switch_ms=switch, unaided=unaided)
        yield Case(name=name, call=call, callers=callers)
        yield Case(name=name, call=call, callers=callers, durability="normal")
    yield Case(name="twin patch", call=patch, callers=1)
    yield Case(name="twin patch", call=patch, callers=1, durability="normal")


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def measure(case: Case, parent: Path | None, seconds: float, runs: int) -> Measured:
    results = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            results.append(asyncio.run(_measure_once(case, Path(folder), seconds)))
    (worst, loop_share), best = min(results), max(results)
    return Measured(
        name=case.name,
        durability=case.durability,
        callers=case.callers,
        busy_ms=case.busy_ms,
        switch_ms=case.switch_ms,
        unaided=case.unaided,
        worst_per_second=worst,
        best_per_second=best[0],
        loop_share=loop_share,
    )


async def _measure_once(case: Case, folder: Path, seconds: float) -> tuple[float, float]:
    """(calls per second, the loop's share)."""
    schema = folder / "schema_v1.sql"
    schema.write_text(SCHEMA)
    writer = UnaidedWriter if case.unaided else Writer
    store = Store.open(folder / "store.db", schema=[schema], durability=case.durability, writer=writer)
    with switch_interval(case.switch_ms / 1000):
        started = time.perf_counter()
        done, slices = await _run(case, store, started + seconds)
        took = time.perf_counter() - started
    await store.close()
    return done / took, slices * case.busy_ms / 1000 / took


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
            stop = time.perf_counter() + case.busy_ms / 1000
            while time.perf_counter() < stop:
                pass
            slices += 1
            await asyncio.sleep(0)
        return slices

    work = asyncio.ensure_future(other_work()) if case.busy_ms else None
    done = sum(await asyncio.gather(*(caller() for _ in range(case.callers))))
    return done, await work if work else 0


def format_table(rows: list[Measured]) -> str:
    head = (
        f"{'':20}{'sync':>7}{'callers':>9}{'loop':>14}{'switch':>8}{'handover':>10}"
        f"{'worst/s':>10}{'best/s':>10}{'loop has':>10}"
    )
    return "\n".join((head, *map(_format_row, rows)))


def _format_row(row: Measured) -> str:
    loop = f"busy {row.busy_ms:.2f} ms" if row.busy_ms else "free"
    aided = "no" if row.unaided else "yes"
    share = f"{row.loop_share:>10.0%}" if row.busy_ms else ""
    return (
        f"{row.name:20}{row.durability:>7}{row.callers:>9,}{loop:>14}{row.switch_ms:>5.1f} ms{aided:>10}"
        f"{row.worst_per_second:>10,.0f}{row.best_per_second:>10,.0f}{share}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a run takes")
    parser.add_argument("--runs", type=int, default=3, help="how often each line is measured")
    parser.add_argument("--folder", type=Path, help="where the databases are made; the disk under it is measured")
    arguments = parser.parse_args()
    rows = [measure(case, arguments.folder, arguments.seconds, arguments.runs) for case in cases()]
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "system": platform.platform()}
    (RESULTS / "store.json").write_text(
        json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2)
    )


if __name__ == "__main__":
    main()
