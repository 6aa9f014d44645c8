"""What the hub's core does with a large fleet: a twin job over all of it, queries on a tag, and how the loop fares.

    python -m benchmarks.hub_core [--devices N] [--folder DIR]

Prints a table and writes benchmarks/results/hub_core.json. The loop's lag is how late a timer of 5 ms comes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from iot_core.clock import SystemClock
from iot_core.identity import Identity
from local_hub.config import HubConfig
from local_hub.hub import Hub
from local_hub.jobs.rows import ACTIVE
from transport.store import Store

RESULTS = Path(__file__).with_name("results")
TICK_S = 0.005
REGISTERED_AT_ONCE = 500
GROUPS = "SELECT tags.floor, COUNT() AS n FROM devices GROUP BY tags.floor"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was done, how long it took, and how late the loop was at worst meanwhile."""

    name: str
    seconds: float
    per_second: float
    loop_lag_ms: float


class LagMeter:
    """Watches the loop from inside it."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def watch(self) -> None:
        while True:
            due = time.perf_counter() + TICK_S
            await asyncio.sleep(TICK_S)
            self.worst_s = max(self.worst_s, time.perf_counter() - due)


@contextmanager
def lag_meter() -> Iterator[LagMeter]:
    meter = LagMeter()
    task = asyncio.ensure_future(meter.watch())
    try:
        yield meter
    finally:
        task.cancel()


async def timed(name: str, count: int, work: Awaitable[object]) -> Row:
    with lag_meter() as meter:
        started = time.perf_counter()
        await work
        took = time.perf_counter() - started
    return Row(name=name, seconds=took, per_second=count / took, loop_lag_ms=meter.worst_s * 1000)


async def register(hub: Hub, count: int) -> None:
    """Devices with a tag "building" of B0 … B99, REGISTERED_AT_ONCE at a time."""
    for start in range(0, count, REGISTERED_AT_ONCE):
        await asyncio.gather(
            *(_register_one(hub, number) for number in range(start, min(start + REGISTERED_AT_ONCE, count)))
        )


async def _register_one(hub: Hub, number: int) -> None:
    device_id = f"device-{number:06}"
    await hub.registry.put_device(device_id, {}, None)
    desired = {"reportingInterval": 10, "thresholds": {"low": 5, "high": 35}}
    body = {"tags": {"building": f"B{number % 100}", "floor": number % 7}, "properties": {"desired": desired}}
    await hub.twins.patch(Identity(device_id), body, None)


async def run_job(hub: Hub, job_id: str, condition: str) -> None:
    update = {"etag": "*", "properties": {"desired": {"reportingInterval": 2}}}
    events = hub.events.subscribe()
    await hub.jobs.create(job_id, {"type": "scheduleUpdateTwin", "queryCondition": condition, "updateTwin": update})
    while hub.jobs.get(job_id)["status"] in ACTIVE:
        with suppress(TimeoutError):
            await asyncio.wait_for(anext(events), 1)


async def whole_query(hub: Hub, text: str) -> int:
    """Rows of all pages of 1,000."""
    token, rows = None, 0
    while True:
        page = await hub.twins.query(text, 1000, token)
        rows, token = rows + len(page.rows), page.continuation
        if token is None:
            return rows


async def first_page(hub: Hub, text: str) -> None:
    await hub.twins.query(text, 100, None)


def count_where(condition: str) -> str:
    return f"SELECT COUNT() AS n FROM devices WHERE {condition}"


async def patch_all(hub: Hub, callers: int, count: int) -> None:
    async def caller(first: int) -> None:
        for number in range(first, count, callers):
            await hub.twins.patch_reported(Identity(f"device-{number:06}"), {"battery": number % 100}, None)

    await asyncio.gather(*(caller(first) for first in range(callers)))


async def measure(folder: Path, devices: int) -> list[Row]:
    store = Store.open(folder / "hub.db", schema=Hub.schema())
    hub = Hub(store, SystemClock(), HubConfig(home=folder))
    await hub.start()
    part = min(devices, 10_000)
    tag, number = "SELECT * FROM devices WHERE tags.building = 'B7'", "tags.floor = 5"
    rows = [
        await timed(f"register {devices:,} devices with twins", devices, register(hub, devices)),
        await timed(f"reported patches, 100 callers, {part:,}", part, patch_all(hub, 100, part)),
        await timed("query: a tag, first page, no index yet", devices, first_page(hub, tag)),
        await timed("  until it has its index", devices, hub.query_indexes.made()),
        await timed("  first page", devices, first_page(hub, tag)),
        await timed("  all pages, 1 % match", devices, whole_query(hub, tag)),
        await timed("  count", devices, first_page(hub, tag.replace("*", "COUNT() AS n"))),
        await timed("query: a number, count, no index yet", devices, first_page(hub, count_where(number))),
        await timed("  until it has its index", devices, hub.query_indexes.made()),
        await timed("  count, 14 % match", devices, first_page(hub, count_where(number))),
        await timed("query: groups", devices, first_page(hub, GROUPS)),
        await timed("query: count with a comparison", devices, first_page(hub, count_where("tags.floor > 5"))),
        await timed(
            "query: desired properties, none match",
            devices,
            first_page(hub, "SELECT * FROM devices WHERE properties.desired.thresholds.low > 5"),
        ),
        await timed(
            "query: a comparison, 14 % match", devices, whole_query(hub, "SELECT * FROM devices WHERE tags.floor > 5")
        ),
        await timed("query: count all", devices, whole_query(hub, "SELECT COUNT() AS n FROM devices")),
        await timed("job: a tag, 1 % match", devices // 100, run_job(hub, "part", "tags.building = 'B7'")),
        await timed("job: every device", devices, run_job(hub, "all", "*")),
    ]
    await hub.stop()
    await store.close()
    return rows


def format_table(rows: list[Row]) -> str:
    head = f"{'':42}{'seconds':>9}{'devices/s':>12}{'worst lag':>12}"
    lines = [f"{row.name:42}{row.seconds:>9.3f}{row.per_second:>12,.0f}{row.loop_lag_ms:>9.1f} ms" for row in rows]
    return "\n".join((head, *lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the database is made; the disk under it is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = asyncio.run(measure(Path(folder), arguments.devices))
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "hub_core.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
