"""How long the hub takes from the start of its process until it serves, and commands until they have printed.

    python -m benchmarks.hub_start [--twins N] [--runs N] [--folder DIR]

The hub is that of ``edgeyard hub run``, started again and again on the same data folder: the first time new and empty,
then with N devices and their twins of some 400 bytes. "ready" is the time from the start of the process to its ready
line; "accepts" ends when MQTT, HTTPS and AMQP have each finished a TLS handshake after it. "CPU" is the median of the
whole process, its end included. Prints a table, writes benchmarks/results/hub_start.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.hub_jobs import fill
from benchmarks.hub_process import hub_at_rest
from local_hub.home import HubHome

RESULTS = Path(__file__).with_name("results") / "hub_start.json"
HOST = "127.61.8.5"
EDGEYARD = (sys.executable, "-m", "edgeyard")
PORTS = ("mqtt_port", "http_port", "amqp_port")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seconds of one process; ``served_s`` is 0 for a command."""

    ready_s: float
    served_s: float
    cpu_s: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """Seconds of all runs; ``load`` is the machine's load average while they went on."""

    name: str
    runs: int
    min_s: float
    median_s: float
    max_s: float
    cpu_s: float
    load: float


def row(name: str, runs: Sequence[Run], seconds_of: Callable[[Run], float] = lambda run: run.ready_s) -> Row:
    seconds = [seconds_of(run) for run in runs]
    return Row(
        name=name,
        runs=len(seconds),
        min_s=min(seconds),
        median_s=statistics.median(seconds),
        max_s=max(seconds),
        cpu_s=statistics.median(run.cpu_s for run in runs),
        load=os.getloadavg()[0],
    )


async def register(home: Path, twins: int) -> None:
    """Devices in the database of a hub that does not run."""
    async with hub_at_rest(home, HOST, durability="normal") as hub:
        await fill(hub, twins)


def start(home: Path) -> Run:
    """One start and stop of the hub."""
    command = [*EDGEYARD, "hub", "run", "--home", str(home), "--host", HOST, "--http-port", "8443"]
    started, cpu = time.perf_counter(), cpu_of_children()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError(f"the hub did not start: {' '.join(command)}")
        ready = time.perf_counter() - started
        ports = json.loads(HubHome(home).running.read_text())
        for name in PORTS:
            handshake(ports[name], HubHome(home).authority)
        served = time.perf_counter() - started
    finally:
        process.terminate()
        process.communicate()
    return Run(ready_s=ready, served_s=served, cpu_s=cpu_of_children() - cpu)


def cpu_of_children() -> float:
    """Seconds of CPU of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def handshake(port: int, authority: Path) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    with socket.create_connection((HOST, port)) as connection, context.wrap_socket(connection, server_hostname=HOST):
        pass


def command(*arguments: str) -> Run:
    """A command that prints and ends, whatever its exit code: it may find no hub."""
    started, cpu = time.perf_counter(), cpu_of_children()
    subprocess.run([*EDGEYARD, *arguments], capture_output=True, check=False)
    return Run(ready_s=time.perf_counter() - started, served_s=0.0, cpu_s=cpu_of_children() - cpu)


def starts(name: str, home: Path, runs: int) -> tuple[Row, Row]:
    found = [start(home) for _ in range(runs)]
    return row(f"{name}, ready", found), row(f"{name}, accepts", found, lambda run: run.served_s)


def measure(folder: Path, twins: int, runs: int) -> list[Row]:
    new = [start(folder / f"new-{number}") for number in range(runs)]
    home = folder / "new-0"
    query = ("query", "SELECT * FROM devices", "--home", str(home))
    commands = {"edgeyard --help": ("--help",), "edgeyard query, no hub there": query}
    rows = [row("hub run, new home, ready", new), *starts("hub run, no devices", home, runs)]
    asyncio.run(register(home, twins))
    rows += starts(f"hub run, {twins:,} devices", home, runs)
    return rows + [row(name, [command(*given) for _ in range(runs)]) for name, given in commands.items()]


def format_table(rows: Sequence[Row]) -> str:
    lines = [f"{'':36}{'runs':>5}{'min s':>8}{'median s':>10}{'max s':>8}{'CPU s':>8}{'load':>7}"]
    for each in rows:
        times = f"{each.min_s:>8.2f}{each.median_s:>10.2f}{each.max_s:>8.2f}{each.cpu_s:>8.2f}"
        lines.append(f"{each.name:36}{each.runs:>5}{times}{each.load:>7.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twins", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the database is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = measure(Path(folder), arguments.twins, arguments.runs)
    print(format_table(rows))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(each) for each in rows], indent=2))


if __name__ == "__main__":
    main()
