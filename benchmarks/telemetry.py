"""Telemetry through the hub's core, without a network: how fast it is stored, and how it is read back.

    python -m benchmarks.telemetry [--messages N] [--callers N] [--runs N] [--folder DIR]

Every message was on disk, synced, before its call returned. Prints a table and writes
benchmarks/results/telemetry.json; the last two lines are events, and openings, a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from iot_core.clock import SystemClock
from iot_core.identity import Identity
from iot_core.message import Message
from local_hub.auth.authenticator import Permission, Principal
from local_hub.config import HubConfig
from local_hub.eventhub import EARLIEST, AfterOffset
from local_hub.hub import Hub
from transport.store import Store

RESULTS = Path(__file__).with_name("results")
DEVICES = 1_000
BODY = b'{"temperature": 21.5, "humidity": 60.25, "note": "' + b"x" * 204 + b'"}'
OPENINGS = 1_000
_HOT = {
    "name": "hot",
    "source": "DeviceMessages",
    "condition": "$body.temperature > 20",
    "endpointNames": ["events"],
}
_SITE = {"key": "site", "value": "$twin.tags.site", "endpointNames": ["events"]}
ROUTINGS: dict[str, dict[str, object]] = {
    "a route on $body": {"routes": [_HOT]},
    "an enrichment from $twin": {"enrichments": [_SITE]},
}
SYSTEM = {"contentType": "application/json", "contentEncoding": "utf-8"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Messages a second, worst and best of the runs."""

    name: str
    worst: float
    best: float


def principal(identity: Identity) -> Principal:
    method = '{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}'
    return Principal(
        name=identity.path,
        rights=Permission.DEVICE_CONNECT,
        expires_at=0.0,
        identity=identity,
        generation_id="638000000000000000",
        auth_method=method,
    )


async def register(hub: Hub) -> None:
    for number in range(DEVICES):
        await hub.registry.put_device(f"device-{number:06}", {}, None)
        await hub.twins.patch(Identity(f"device-{number:06}"), {"tags": {"site": f"s{number % 10}"}}, None)


async def send(hub: Hub, callers: int, messages: int) -> float:
    identities = [Identity(f"device-{number:06}") for number in range(DEVICES)]
    principals = [principal(identity) for identity in identities]

    async def caller(first: int) -> None:
        for number in range(first, messages, callers):
            at = number % DEVICES
            message = Message(BODY, {"number": str(number)}, SYSTEM)
            await hub.messaging.telemetry(identities[at], message, principals[at])

    started = time.perf_counter()
    await asyncio.gather(*(caller(first) for first in range(callers)))
    return messages / (time.perf_counter() - started)


async def read_all(hub: Hub) -> float:
    """Every partition from its beginning, 300 events at a time, decoded."""
    started, count = time.perf_counter(), 0
    for partition_id in hub.event_hub.partition_ids:
        reader = hub.event_hub.open(partition_id, EARLIEST)
        while events := reader.read_now(300):
            count += len(events)
    return count / (time.perf_counter() - started)


async def open_anywhere(hub: Hub) -> float:
    """A reader at a random offset, and its first event."""
    chosen = random.Random(4)
    ends = {each: hub.event_hub.info(each).last_sequence_number for each in hub.event_hub.partition_ids}
    started = time.perf_counter()
    for _ in range(OPENINGS):
        partition_id, last = chosen.choice(list(ends.items()))
        position = AfterOffset(offset=str(chosen.randint(0, last)), inclusive=True)
        assert hub.event_hub.open(partition_id, position).read_now(1)
    return OPENINGS / (time.perf_counter() - started)


async def measure(folder: Path, callers: int, messages: int, runs: int) -> list[Row]:
    store = Store.open(folder / "hub.db", schema=Hub.schema())
    hub = Hub(store, SystemClock(), HubConfig(home=folder))
    await hub.start()
    await register(hub)
    rows = [await repeated(f"store, {callers:,} callers", runs, lambda: send(hub, callers, messages))]
    for name, settings in ROUTINGS.items():
        await hub.routing.replace(settings)
        rows.append(await repeated(f"store, {name}", runs, lambda: send(hub, callers, messages)))
    rows.append(await repeated("read back and decode", runs, lambda: read_all(hub)))
    rows.append(await repeated("open at a random offset, read one", runs, lambda: open_anywhere(hub)))
    await hub.stop()
    await store.close()
    return rows


async def repeated(name: str, runs: int, work: Callable[[], Awaitable[float]]) -> Row:
    rates = [await work() for _ in range(runs)]
    return Row(name=name, worst=min(rates), best=max(rates))


def format_table(rows: list[Row]) -> str:
    head = f"{'':48}{'worst/s':>12}{'best/s':>12}"
    return "\n".join((head, *(f"{row.name:48}{row.worst:>12,.0f}{row.best:>12,.0f}" for row in rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000, help="in each run")
    parser.add_argument("--callers", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the database is made; the disk under it is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = asyncio.run(measure(Path(folder), arguments.callers, arguments.messages, arguments.runs))
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "telemetry.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
