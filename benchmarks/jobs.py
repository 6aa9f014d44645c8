"""A bulk job on the local hub: planned, run until the devices acknowledge, and how much memory the operator needs.

    python -m benchmarks.jobs [--devices N] [--memory-devices N]

10,000 devices, every fifth connected and acknowledging by the settings code of the device layer, over MQTT and in a
process of its own; the hub is another process, everything synced. The operator runs in a fresh process each time,
so its memory is its own. Prints a table and writes benchmarks/results/jobs.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.hub_core import RESULTS
from benchmarks.hub_jobs import ROWS_PER_WRITE, device
from benchmarks.hub_process import hub_at_rest
from device.settings import SettingsSession
from device.simulated import SimulatedSettings
from hub_tools.jobs import DeviceState, JobSpec, make_path, make_plan, run_job
from hub_tools.jobs.journal import Journal
from hub_tools.jobs.rollout import Rollout
from hub_tools.jobs.rollout_run import run_rollout
from hub_tools.jobs.undo import undo_job
from hub_tools.rest import RestHubService
from iot_core import sas, topics
from iot_core.connection_string import ConnectionString
from iot_core.identity import generate_key
from iot_core.mqtt import Publish
from local_hub.home import HubHome
from local_hub.registry.identity_body import authentication_of
from local_hub.rows import insert
from transport.mqtt_client import MqttClient

HOST = "127.61.8.9"
API_VERSION = "2021-04-12"
EVERY = 5
CONNECTING_AT_ONCE = 50
LIMITS_S = {"plan": 2.0, "run": 10.0, "undo": 15.0}
LIMIT_MIB = 200.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was done on how many devices, how long it took, the operator's largest memory, and the limit for it."""

    name: str
    devices: int
    seconds: float
    memory_mib: float
    limit: str
    result: str


async def fill(home: Path, count: int) -> list[tuple[str, str]]:
    """Devices in the database of a hub that does not run; (device id, key) of those that will connect."""
    keys = {number: generate_key() for number in range(0, count, EVERY)}
    async with hub_at_rest(home, HOST) as hub:
        for start in range(0, count, ROWS_PER_WRITE):
            numbers = range(start, min(start + ROWS_PER_WRITE, count))
            await hub.store.write(partial(_insert, numbers=numbers, keys=keys))
    return [(f"device-{number:07}", key) for number, key in keys.items()]


def _insert(connection: Any, numbers: range, keys: dict[int, str]) -> None:
    for number in numbers:
        record = device(number)
        if number in keys:
            given = {"symmetricKey": {"primaryKey": keys[number], "secondaryKey": keys[number]}}
            record = replace(record, authentication=authentication_of(given, may_be_none=False))
        insert(connection, record)


class Device:
    """A device that acknowledges its settings, and does nothing else."""

    def __init__(self, device_id: str, key: str) -> None:
        self._id = device_id
        self._key = key
        self._session = SettingsSession(SimulatedSettings)
        self._client = MqttClient(on_message=self._take)
        self._requests = 0

    async def connect(self, context: ssl.SSLContext) -> None:
        await self._client.connect(
            HOST,
            8883,
            client_id=self._id,
            username=f"{HOST}/{self._id}/?api-version={API_VERSION}",
            password=sas.sign(f"{HOST}/devices/{self._id}", self._key, int(time.time()) + 24 * 3600),
            ssl=context,
            clean_session=True,
            keep_alive=600,
        )
        await self._client.subscribe(topics.TWIN_RESPONSES_FILTER, topics.DESIRED_FILTER)
        await self._client.publish(topics.twin_get("get"), b"", qos=0)

    def _take(self, message: Publish) -> None:
        said = topics.parse_hub_topic(message.topic)
        if isinstance(said, topics.DesiredPatch):
            self._report(self._session.apply(json.loads(message.payload)).reported)
        elif message.payload:
            self._report(self._session.apply(json.loads(message.payload)["desired"], full=True).reported)

    def _report(self, patch: dict[str, Any]) -> None:
        if patch:
            self._requests += 1
            topic = topics.twin_patch_reported(str(self._requests))
            self._client.publish_nowait(topic, json.dumps(patch).encode(), qos=0)


async def fleet(ca_file: str) -> None:
    """Connect the devices on standard input, say so, and stand until it ends."""
    context = ssl.create_default_context(cafile=ca_file)
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def connect(line: str) -> Device:
        device_id, key = line.split()
        async with gate:
            one = Device(device_id, key)
            await one.connect(context)
            return one

    lines = iter(sys.stdin.readline, "end\n")
    devices = await asyncio.gather(*map(connect, lines))
    print(f"ready {len(devices)}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def operate(home: Path, what: str, value: float) -> Row:
    """The operator's part, in a process of its own."""
    files = HubHome(home)
    owner = ConnectionString.parse(files.owner_connection_string.read_text().strip())
    jobs, job_id = home / "jobs", f"bench-{value:g}"
    spec = JobSpec(where="tags.half IN [0, 1]", desired={"reportingInterval": value}, job_id=job_id)
    async with RestHubService(owner, ca_file=files.authority) as service:
        started = time.perf_counter()
        if what == "plan":
            plan = await make_plan(service, spec, capacity=None)
            matched, result = plan.matched, f"{plan.connected:,} connected, {len(plan.classes)} classes, by {plan.path}"
        elif what == "undo":
            with Journal.open(jobs, job_id) as journal:
                undone = await undo_job(service, journal)
            matched = undone.counts.total()
            result = ", ".join(f"{number:,} {item}" for item, number in undone.counts.items())
        elif what == "rollout":
            rollout = Rollout(spec).canary(5).require("success >= 95%").then(10, 50, 100).abort_if("5% of 20")
            way = make_path("bulk", service, spec)
            with Journal.create(jobs, rollout.spec) as journal:
                told = await run_rollout(service, rollout, way, journal=journal, timeout_s=10.0)
            matched, result = told.matched, f"{told.state.value} after {told.of} waves: {_counts(told.states)}"
        else:
            with Journal.create(jobs, spec) as journal:
                report = await run_job(service, spec, make_path(what, service, spec), journal=journal)
            matched, result = report.matched, _counts(report.tally.counts)
        seconds = time.perf_counter() - started
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Row(name=what, devices=matched, seconds=seconds, memory_mib=mebibytes, limit="", result=result)


def _counts(states: Mapping[DeviceState, int]) -> str:
    return ", ".join(f"{states[state]:,} {state.value}" for state in DeviceState if states.get(state))


@contextlib.contextmanager
def process(*arguments: str, until: str, lines: list[str] | None = None) -> Iterator[None]:
    """A process of the benchmark that has said that it is ready; ended at the end of the block."""
    started = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert started.stdin is not None
    assert started.stdout is not None
    try:
        started.stdin.writelines(lines or [])
        started.stdin.flush()
        while until not in (line := started.stdout.readline()):
            if not line:
                raise RuntimeError(f"{arguments} ended before it was ready")
        yield
    finally:
        started.terminate()
        started.communicate()


def operator(home: Path, what: str, value: float) -> Row:
    command = [sys.executable, "-m", "benchmarks.jobs", "--operate", what, "--home", str(home), "--value", str(value)]
    return Row(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def measure(count: int, memory_count: int, runs: int) -> list[Row]:
    rows: list[Row] = []

    def add(row: Row, limit: str = "") -> None:
        rows.append(replace(row, limit=limit))
        print(format_row(rows[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        connected = asyncio.run(fill(home, count))
        ca = str(HubHome(home).authority)
        lines = [*(f"{device_id} {key}\n" for device_id, key in connected), "end\n"]
        with (
            process("-m", "local_hub", "--home", folder, "--host", HOST, until="hub ready"),
            process("-m", "benchmarks.jobs", "--fleet", ca, until="ready", lines=lines),
        ):
            for number in range(runs):
                add(operator(home, "plan", 20 + number), f"{LIMITS_S['plan']:g} s")
                add(operator(home, "jobs", 20 + number), f"{LIMITS_S['run']:g} s")
                add(operator(home, "undo", 20 + number), f"{LIMITS_S['undo']:g} s")
            add(operator(home, "bulk", 40), f"{LIMITS_S['run']:g} s")
            add(operator(home, "direct", 50))
            add(operator(home, "rollout", 60))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        asyncio.run(fill(home, memory_count))
        with process("-m", "local_hub", "--home", folder, "--host", HOST, until="hub ready"):
            add(operator(home, "plan", 20), f"{LIMIT_MIB:g} MiB")
            add(operator(home, "bulk", 20), f"{LIMIT_MIB:g} MiB")
            add(operator(home, "undo", 20), f"{LIMIT_MIB:g} MiB")
            add(operator(home, "rollout", 30), f"{LIMIT_MIB:g} MiB")
    return rows


HEADER = f"{'':<8}{'devices':>9}{'seconds':>9}{'MiB':>7}  {'limit':<9}result"


def format_row(row: Row) -> str:
    return f"{row.name:<8}{row.devices:>9,}{row.seconds:>9.2f}{row.memory_mib:>7.0f}  {row.limit:<9}{row.result}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000, help="devices of the timed jobs")
    parser.add_argument(
        "--memory-devices", type=int, default=100_000, help="devices of the job whose memory is measured"
    )
    parser.add_argument("--runs", type=int, default=3, help="of plan and run")
    parser.add_argument("--fleet", metavar="CA", help=argparse.SUPPRESS)
    parser.add_argument("--operate", metavar="WHAT", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--value", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fleet:
        asyncio.run(fleet(given.fleet))
    elif given.operate:
        print(json.dumps(asdict(asyncio.run(operate(given.home, given.operate, given.value)))))
    else:
        print(HEADER)
        rows = measure(given.devices, given.memory_devices, given.runs)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "jobs.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
