"""Memory of the whole hub for idle device connections over TLS, and how long a hub with many twins takes to be ready.

    python -m benchmarks.hub_memory [--connections N] [--idle S] [--folder DIR]

The hub runs in a process of its own; the devices, in another, log in with tokens of their own over MQTT, subscribe as
the SDK does and then say nothing. Memory is the resident size as ``ps`` tells it. Prints a table, writes
benchmarks/results/hub_memory.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.hub_process import HOST, RunningHub, logins, register, running_hub
from benchmarks.mqtt import resident_kib
from benchmarks.mqtt_load import Load, Login

RESULTS = Path(__file__).parent / "results" / "hub_memory.json"
FILTERS = ("$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#")
"""What a device of the SDK subscribes to. Their sessions last: they are in the database."""
WARM = 20
"""Connections before the first measurement, so that what is made once is not counted."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of the hub's process, in KiB; ``per_connection_kib`` is what the connections added."""

    connections: int
    empty_kib: int
    connected_kib: int
    idle_kib: int
    per_connection_kib: float
    logins_per_second: float
    ready_s: float


class Holder:
    """A process that holds connections until the end of the block."""

    def __init__(self, hub: RunningHub, clients: Sequence[Login]) -> None:
        load = Load(
            host=HOST, port=hub.port, ca_file=str(hub.files.authority), logins=clients, in_flight=0, filters=FILTERS
        )
        command = [sys.executable, "-m", "benchmarks.mqtt_load"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(load)) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the connections could not be made")

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process.poll() is not None:
            raise RuntimeError("the hub hung up on idle connections")
        self._process.terminate()
        self._process.communicate()


def measure(home: Path, clients: Sequence[Login], idle_s: float) -> Memory:
    with running_hub(home) as hub, Holder(hub, clients[:WARM]):
        empty, started = resident_kib(hub.pid), time.perf_counter()
        with Holder(hub, clients[WARM:]):
            took = time.perf_counter() - started
            connected = resident_kib(hub.pid)
            time.sleep(idle_s)
            idle = resident_kib(hub.pid)
    count = len(clients) - WARM
    return Memory(
        connections=count,
        empty_kib=empty,
        connected_kib=connected,
        idle_kib=idle,
        per_connection_kib=(idle - empty) / count,
        logins_per_second=count / took,
        ready_s=hub.ready_s,
    )


def format_table(memory: Memory) -> str:
    rows = (
        ("ready after", f"{memory.ready_s:.2f} s"),
        ("connections", f"{memory.connections:,}"),
        ("TLS handshakes and log-ins", f"{memory.logins_per_second:,.0f} /s"),
        (f"hub with {WARM} connections", f"{memory.empty_kib / 1024:,.0f} MiB"),
        ("hub with all, just connected", f"{memory.connected_kib / 1024:,.0f} MiB"),
        ("hub with all, idle", f"{memory.idle_kib / 1024:,.0f} MiB"),
        ("for each connection", f"{memory.per_connection_kib:.1f} KiB"),
    )
    return "\n".join(f"{name:32}{value:>14}" for name, value in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds before memory is read")
    parser.add_argument("--folder", type=Path, help="where the database is made")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        clients = logins(asyncio.run(register(Path(folder), arguments.connections + WARM)))
        memory = measure(Path(folder), clients, arguments.idle)
    print(format_table(memory))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(asdict(memory), indent=2))


if __name__ == "__main__":
    main()
