"""Telemetry through the whole hub over AMQP and TLS: a message a transfer, and batches as the SDKs send them.

    python -m benchmarks.hub_amqp [--rounds N] [--seconds S] [--folder DIR]

256 bytes, two properties; the hub has every message on disk, synced, before it accepts. The generator
(``benchmarks.amqp_load``) is in a process of its own and is Python too, so the hub's own time for a message says more
than the rate. Prints a table, writes benchmarks/results/hub_amqp.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.amqp_load import AmqpLoad, AmqpLogin
from benchmarks.hub_process import HOST, RunningHub, register, running_hub
from benchmarks.hub_telemetry import syncs_per_second
from benchmarks.mqtt_load import Outcome
from iot_core import sas

RESULTS = Path(__file__).parent / "results" / "hub_amqp.json"
SHAPES = ((1, 1, 1), (20, 10, 1), (20, 2, 100))
"""Connections, transfers in flight on each, messages in a transfer."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Median of the rounds; ``hub_us`` is the hub's processor time for one message."""

    connections: int
    in_flight: int
    batch: int
    per_second: float
    hub_us: float
    generator_cpu: float


def logins(devices: Sequence[tuple[str, str]]) -> list[AmqpLogin]:
    """One connection for each device."""
    expiry = int(time.time()) + 24 * 3600
    resources = [f"{HOST}/devices/{device_id}" for device_id, _ in devices]
    return [
        AmqpLogin(
            audience=resource,
            token=sas.sign(resource, key, expiry),
            address=f"/devices/{device_id}/messages/events",
        )
        for resource, (device_id, key) in zip(resources, devices, strict=True)
    ]


def processor_s(pid: int) -> float:
    """Processor time that a process has had (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def put_load(hub: RunningHub, load: AmqpLoad) -> tuple[Outcome, float]:
    """The outcome, and the hub's microseconds for a message, log-ins and warm-up included."""
    before = processor_s(hub.pid)
    command = [sys.executable, "-m", "benchmarks.amqp_load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    outcome = Outcome(**json.loads(done.stdout))
    messages = outcome.per_second * (load.warm_up_s + load.seconds)
    return outcome, (processor_s(hub.pid) - before) / messages * 1e6


def measure(home: Path, clients: Sequence[AmqpLogin], rounds: int, seconds: float) -> list[Figure]:
    figures = []
    for connections, in_flight, batch in SHAPES:
        outcomes = []
        for _round in range(rounds):
            with running_hub(home) as hub:
                load = AmqpLoad(
                    host=HOST,
                    port=json.loads(hub.files.running.read_text())["amqp_port"],
                    ca_file=str(hub.files.authority),
                    logins=clients[:connections],
                    in_flight=in_flight,
                    batch=batch,
                    seconds=seconds,
                )
                outcomes.append(put_load(hub, load))
        figures.append(
            Figure(
                connections=connections,
                in_flight=in_flight,
                batch=batch,
                per_second=statistics.median(outcome.per_second for outcome, _ in outcomes),
                hub_us=statistics.median(us for _, us in outcomes),
                generator_cpu=statistics.median(outcome.own_cpu for outcome, _ in outcomes),
            )
        )
    return figures


def report(figures: list[Figure], syncs: float) -> None:
    table = Table(
        "connections", "in flight", "messages a transfer", "messages/s", "hub, µs a message", "generator's CPU",
        title=f"AMQP over TLS, 256 bytes, synced. The disk: {syncs:,.0f} syncs/s",
    )  # fmt: skip
    for figure in figures:
        table.add_row(
            str(figure.connections),
            str(figure.in_flight),
            str(figure.batch),
            f"{figure.per_second:,.0f}",
            f"{figure.hub_us:.0f}",
            f"{figure.generator_cpu:.0%}",
        )
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"syncs_per_second": syncs, "figures": [asdict(each) for each in figures]}, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the database is made; the disk under it is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        clients = logins(asyncio.run(register(folder, max(connections for connections, _, _ in SHAPES))))
        syncs = syncs_per_second(folder)
        report(measure(folder, clients, arguments.rounds, arguments.seconds), syncs)


if __name__ == "__main__":
    main()
