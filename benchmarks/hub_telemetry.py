"""Telemetry through the whole hub over MQTT and TLS, beside mosquitto and amqtt in the same run.

    python -m benchmarks.hub_telemetry [--amqtt-python PYTHON] [--rounds N] [--folder DIR]

QoS 1, 256 bytes. Each broker runs alone in a process of its own with the same certificate, and gets the same load from
the same generator (``benchmarks.mqtt_load``) in another. The hub has every message on disk, synced, before its PUBACK;
mosquitto (found on PATH; ``set_tcp_nodelay true``, no persistence) and amqtt (``--amqtt-python``: the Python of an
environment with amqtt and uvloop) keep nothing. Rounds alternate; the median counts. Prints a table with the disk's
syncs a second, writes benchmarks/results/hub_telemetry.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.hub_process import HOST, logins, register, running_hub
from benchmarks.mqtt_load import Load, Login, Outcome
from local_hub.home import HubHome
from local_hub.server_certificate import prepare_certificates

RESULTS = Path(__file__).parent / "results" / "hub_telemetry.json"
SHAPES = ((50, 10), (500, 4))
"""Connections, and messages in flight on each."""
HUB = "hub"
SYNC_SECONDS = 1.0
UP_S = 10.0

Broker = Callable[[], AbstractContextManager[int]]
"""Starts a broker and gives its port; ends it at the end of the block."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Median of the rounds."""

    broker: str
    connections: int
    in_flight: int
    per_second: float
    generator_cpu: float
    ratio_of_hub: float
    """The hub's rate over this one's, in the same run."""


def syncs_per_second(folder: Path) -> float:
    """How often the disk can be synced, one page after another."""
    with tempfile.TemporaryFile(dir=folder) as file:
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < SYNC_SECONDS:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            done += 1
        return done / (time.perf_counter() - started)


@contextlib.contextmanager
def hub_broker(home: Path) -> Iterator[int]:
    with running_hub(home) as hub:
        yield hub.port


@contextlib.contextmanager
def broker_process(command: Sequence[str], port: int, log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_until_up(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + UP_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on {port}: {log.read_text()[-500:]}")


@contextlib.contextmanager
def mosquitto(program: str, files: HubHome, folder: Path) -> Iterator[int]:
    port = _free_port()
    configuration = folder / "mosquitto.conf"
    lines = (
        f"listener {port} {HOST}",
        f"certfile {files.certificate}",
        f"keyfile {files.key}",
        "allow_anonymous true",
        "set_tcp_nodelay true",
        "persistence false",
        "log_type error",
        "user root",
    )
    configuration.write_text("\n".join(lines) + "\n")
    with broker_process([program, "-c", str(configuration)], port, folder / "mosquitto.log") as serving:
        yield serving


@contextlib.contextmanager
def amqtt(python: str, files: HubHome, folder: Path) -> Iterator[int]:
    port = _free_port()
    script = Path(__file__).with_name("amqtt_broker.py")
    command = [python, str(script), HOST, str(port), str(files.certificate), str(files.key)]
    with broker_process(command, port, folder / "amqtt.log") as serving:
        yield serving


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def put_load(load: Load) -> Outcome:
    command = [sys.executable, "-m", "benchmarks.mqtt_load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(**json.loads(done.stdout))


def measure(
    brokers: dict[str, Broker], files: HubHome, clients: Sequence[Login], rounds: int, seconds: float
) -> list[Figure]:
    figures = []
    for connections, in_flight in SHAPES:
        outcomes: dict[str, list[Outcome]] = {name: [] for name in brokers}
        for _round in range(rounds):
            for name, broker in brokers.items():
                with broker() as port:
                    load = Load(
                        host=HOST,
                        port=port,
                        ca_file=str(files.authority),
                        logins=clients[:connections],
                        in_flight=in_flight,
                        seconds=seconds,
                    )
                    outcomes[name].append(put_load(load))
        figures += _figures(outcomes, connections, in_flight)
    return figures


def _figures(outcomes: dict[str, list[Outcome]], connections: int, in_flight: int) -> list[Figure]:
    rates = {name: statistics.median(one.per_second for one in many) for name, many in outcomes.items()}
    return [
        Figure(
            broker=name,
            connections=connections,
            in_flight=in_flight,
            per_second=rate,
            generator_cpu=statistics.median(one.own_cpu for one in outcomes[name]),
            ratio_of_hub=rates[HUB] / rate,
        )
        for name, rate in rates.items()
    ]


def report(figures: list[Figure], syncs: float) -> None:
    table = Table(
        "broker", "connections", "in flight", "messages/s", "hub ÷ this", "generator's CPU",
        title=f"QoS 1, 256 bytes, TLS; the hub's synced. The disk: {syncs:,.0f} syncs/s",
    )  # fmt: skip
    for figure in figures:
        table.add_row(
            figure.broker,
            str(figure.connections),
            str(figure.in_flight),
            f"{figure.per_second:,.0f}",
            f"{figure.ratio_of_hub:.2f}",
            f"{figure.generator_cpu:.0%}",
        )
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    content = {"machine": machine, "syncs_per_second": syncs, "figures": [asdict(figure) for figure in figures]}
    RESULTS.write_text(json.dumps(content, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--amqtt-python", help="Python of an environment with amqtt and uvloop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the database is made; the disk under it is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        files = HubHome(folder)
        clients = logins(asyncio.run(register(folder, max(connections for connections, _ in SHAPES))))
        prepare_certificates(files, (HOST,))
        brokers: dict[str, Broker] = {HUB: partial(hub_broker, folder)}
        if program := shutil.which("mosquitto"):
            brokers["mosquitto"] = partial(mosquitto, program, files, folder)
        if arguments.amqtt_python:
            brokers["amqtt"] = partial(amqtt, arguments.amqtt_python, files, folder)
        syncs = syncs_per_second(folder)
        report(measure(brokers, files, clients, arguments.rounds, arguments.seconds), syncs)


if __name__ == "__main__":
    main()
