"""How long twin jobs and automatic configurations take on a large fleet, and what the hub's other users notice.

    python -m benchmarks.hub_jobs [--devices N] [--job-devices N] [--folder DIR]

Prints a table and writes benchmarks/results/hub_jobs.json. Everything is synced. "lag" is how late a 5 ms timer on the
event loop was at worst, "write" how long the slowest of the small twin writes took that went on beside the work, one
after another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.hub_core import RESULTS, lag_meter, run_job
from iot_core.clock import SystemClock, iso
from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.twin import Section
from local_hub.config import HubConfig
from local_hub.hub import Hub
from local_hub.preconditions import ANY
from local_hub.registry.identity_body import no_authentication
from local_hub.rows import Record, insert
from transport.store import Store

ROWS_PER_WRITE = 2_000
BYSTANDER = Identity("bystander")


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was done, on how many devices, how long it took, and what others noticed meanwhile."""

    name: str
    devices: int
    seconds: float
    lag_ms: float
    write_ms: float


class Link:
    """A connected device that counts what it is sent."""

    accepts_methods = False

    def __init__(self) -> None:
        self.pushed = 0

    def push_desired(self, patch: dict[str, Any]) -> None:
        self.pushed += 1

    async def call_method(self, name: str, payload: bytes) -> tuple[int, bytes]:
        raise NotImplementedError

    def close(self, reason: str) -> None:
        return


def device(number: int) -> Record:
    """A device with some 400 bytes of twin; tag "fleet" is 1 for one in ten."""
    now = iso(0)
    desired = Section.new("desired", now).patched({"reportingInterval": 10, "limits": {"low": 5, "high": 35}}, now)
    reported = Section.new("reported", now).patched({"firmware": {"version": "1.0"}, "battery": number % 100}, now)
    return Record(
        identity=Identity(f"device-{number:07}"),
        generation_id="1",
        etag=1,
        authentication=no_authentication(),
        tags={"fleet": number % 10, "building": f"B{number % 100}", "half": number % 2},
        desired=desired,
        reported=reported,
    )


async def fill(hub: Hub, count: int) -> None:
    await hub.registry.put_device(BYSTANDER.device_id, {}, None)
    for start in range(0, count, ROWS_PER_WRITE):
        await hub.store.write(partial(insert_devices, numbers=range(start, min(start + ROWS_PER_WRITE, count))))


def insert_devices(connection: sqlite3.Connection, numbers: range) -> None:
    for number in numbers:
        insert(connection, device(number))


@asynccontextmanager
async def bystander(hub: Hub) -> AsyncIterator[list[float]]:
    """Small twin writes, one after another; yields a list of how long each took, in seconds."""
    took: list[float] = []

    async def write() -> None:
        while True:
            started = time.perf_counter()
            await hub.twins.patch_reported(BYSTANDER, {"n": len(took)}, None)
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(write())
    try:
        yield took
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def timed(hub: Hub, name: str, devices: int, work: Callable[[], Awaitable[object]]) -> Row:
    with lag_meter() as meter:
        async with bystander(hub) as took:
            started = time.perf_counter()
            await work()
            seconds = time.perf_counter() - started
    return Row(
        name=name,
        devices=devices,
        seconds=seconds,
        lag_ms=meter.worst_s * 1000,
        write_ms=max(took, default=0.0) * 1000,
    )


async def connections_noted(hub: Hub) -> None:
    """Wait for the writes that connecting or disconnecting all devices at once has caused."""
    await asyncio.sleep(0)
    await hub.store.write(lambda _: None)


async def configure(hub: Hub, name: str, condition: str, **settings: Any) -> None:
    sections = {f"properties.desired.{path}": value for path, value in settings.items()}
    body = {"content": {"deviceContent": sections}, "targetCondition": condition}
    try:
        await hub.configurations.put(name, body, None)
    except HubError:
        await hub.configurations.put(name, body, ANY)
    await hub.configurations.settled()


async def check_pass(hub: Hub) -> None:
    """A pass over all devices of which none has drifted."""
    hub.configurations.want_pass()
    await hub.configurations.settled()


async def measure(folder: Path, devices: int, job_devices: int) -> list[Row]:
    store = Store.open(folder / "hub.db", schema=Hub.schema())
    hub = Hub(store, SystemClock(), HubConfig(home=folder))
    await hub.start()
    rows: list[Row] = []

    async def add(name: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
        rows.append(await timed(hub, name, count, work))
        print(format_row(rows[-1]), flush=True)

    print(HEADER)
    await fill(hub, devices)
    some = f"deviceId IN {json.dumps([f'device-{n:07}' for n in range(200)])}"
    tenth = f"tags.fleet = 1 AND deviceId < 'device-{job_devices * 10:07}'"
    await add("twin job on a tag", job_devices, lambda: run_job(hub, "by-tag", tenth))
    links = [Link() for _ in range(job_devices)]
    for number, link in enumerate(links):
        hub.sessions.attach(Identity(f"device-{number * 10 + 1:07}"), link)
    await connections_noted(hub)
    await add("the same, all connected", job_devices, lambda: run_job(hub, "connected", tenth))
    assert all(link.pushed == 1 for link in links)
    hub.sessions.end_all("measured")
    await connections_noted(hub)
    await add("twin job on 200 listed devices", 200, lambda: run_job(hub, "listed", some))
    await add("configuration for one tag", devices // 10, lambda: configure(hub, "one", "tags.fleet = 1", a=1))
    await add("configuration for all", devices, lambda: configure(hub, "all", "*", a=0, b={"c": 1}))
    await add("pass with nothing to do", devices, lambda: check_pass(hub))
    await add(
        "configuration for one building", devices // 100, lambda: configure(hub, "b", "tags.building = 'B7'", z=1)
    )
    await add("its metrics read", devices // 100, lambda: hub.configurations.get("b"))
    await add("metrics of the one for all", devices, lambda: hub.configurations.get("all"))
    await add("taken back from half", devices // 2, lambda: configure(hub, "all", "tags.half = 1", a=0, b={"c": 1}))
    await hub.stop()
    await store.close()
    return rows


HEADER = f"{'':<34}{'devices':>9}{'seconds':>9}{'devices/s':>11}{'lag ms':>8}{'write ms':>10}"


def format_row(row: Row) -> str:
    rate = row.devices / row.seconds
    return f"{row.name:<34}{row.devices:>9,}{row.seconds:>9.2f}{rate:>11,.0f}{row.lag_ms:>8.0f}{row.write_ms:>10.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000, help="twins in the hub")
    parser.add_argument("--job-devices", type=int, default=10_000, help="devices of the jobs")
    parser.add_argument("--folder", type=Path, help="where the database is made (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows = asyncio.run(measure(Path(folder), given.devices, given.job_devices))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "hub_jobs.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
