"""The module on a fake hub: twin, input, outputs, reports, metrics, and as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from device.fake_client import FakeHubClient
from iot_core.message import Message
from modules.aggregator.aggregation import Counts
from modules.aggregator.engine import Intake
from modules.aggregator.metrics import OF_DEFINITIONS, OF_INTAKE, AggregatorMetrics
from modules.aggregator.module import AggregatorModule, create_module, state_folder

PROJECT = Path(__file__).parents[3]
DEFINITION: dict[str, Any] = {
    "window": {"type": "tumbling", "size": 10},
    "groupBy": {"m": "$body.m"},
    "timestamp": {"path": "$body.t"},
    "aggregates": {"sum": {"function": "sum", "of": "$body.v"}},
    "outOfOrderness": 0,
}


@asynccontextmanager
async def running(folder: Path, **desired: Any) -> AsyncIterator[tuple[FakeHubClient, AggregatorModule]]:
    client, stop = FakeHubClient({"reportingInterval": 0.2, **desired}), asyncio.Event()
    async with create_module(client, folder) as module:
        work = asyncio.create_task(module.app.run(stop))
        await module.app.ready.wait()
        yield client, module
        stop.set()
        await work


async def deliver(client: FakeHubClient, *records: dict[str, Any]) -> None:
    for record in records:
        await client.deliver("messages", Message(json.dumps(record).encode()))


async def test_messages_in_results_out(tmp_path: Path) -> None:
    async with running(tmp_path, definitions={"one": DEFINITION}) as (client, _):
        await deliver(client, {"t": 1, "m": "a", "v": 2}, {"t": 2, "m": "a", "v": 3}, {"t": 10, "m": "a", "v": 0})
        await client.until(lambda: len(client.sent) == 1)
        output, message = client.sent[0]
        body = json.loads(message.body)
        assert (output, body["values"], body["group"]) == ("results", {"sum": 5}, {"m": "a"})
        assert message.system["messageId"] == body["id"]
        assert message.properties == {"definition": "one", "revision": "0"}


async def test_counts_are_reported_and_measured(tmp_path: Path) -> None:
    async with running(tmp_path, definitions={"one": DEFINITION}) as (client, module):
        await deliver(client, {"t": 1, "m": "a", "v": 2}, {"t": 500, "m": "a", "v": 2}, {"t": 2, "m": "a", "v": 2})
        await client.until(lambda: client.reported.get("aggregations", {}).get("one", {}).get("late") == 1)
        one = client.reported["aggregations"]["one"]
        assert (one["records"], one["results"], one["openWindows"]) == (3, 1, 1)
        assert one["watermark"] == "1970-01-01T00:08:20.0000000Z"
        registry = CollectorRegistry()
        registry.register(AggregatorMetrics(module.aggregator, module.sender))
        text = generate_latest(registry).decode()
        assert 'edgeyard_aggregator_late_total{definition="one"} 1.0' in text
        assert "edgeyard_aggregator_intake_messages_total 3.0" in text


async def test_a_bad_definition_is_refused_and_the_good_one_works_on(tmp_path: Path) -> None:
    async with running(tmp_path, definitions={"one": DEFINITION}) as (client, module):
        await client.operator_sets(definitions={"two": DEFINITION | {"where": "$body.x >"}})
        await client.until(lambda: client.reported["definitions"]["ac"] == 400)
        assert "two.where" in client.reported["definitions"]["ad"]
        assert list(module.aggregator.engine.aggregations) == ["one"]


async def test_a_bad_definition_at_start_leaves_the_state_of_the_run_before(tmp_path: Path) -> None:
    async with running(tmp_path, definitions={"one": DEFINITION}) as (client, _):
        await deliver(client, {"t": 1, "m": "a", "v": 2})
    async with running(tmp_path, definitions={"one": {"window": 5}}) as (client, _):
        assert client.reported["definitions"]["ac"] == 400
        await deliver(client, {"t": 10, "m": "a", "v": 0})
        await client.until(lambda: len(client.sent) == 1)
        assert json.loads(client.sent[0][1].body)["values"] == {"sum": 2}


async def test_silence_closes_windows_of_a_connected_module(tmp_path: Path) -> None:
    async with running(
        tmp_path, definitions={"one": DEFINITION | {"idleTimeout": 0.01, "window": {"type": "session", "gap": 0.1}}}
    ) as (client, _):
        await deliver(client, {"t": 1, "m": "a", "v": 2})
        await client.until(lambda: len(client.sent) == 1)


def test_every_count_is_a_metric() -> None:
    assert set(OF_DEFINITIONS) == set(vars(Counts()))
    assert set(OF_INTAKE) == set(vars(Intake()))


def test_two_modules_never_share_a_state() -> None:
    one = {"IOTEDGE_DEVICEID": "e1", "IOTEDGE_MODULEID": "aggregator", "IOTEDGE_MODULEGENERATIONID": "1"}
    folders = {
        state_folder(one),
        state_folder({**one, "IOTEDGE_DEVICEID": "e2"}),
        state_folder({"AGGREGATOR_STATE": "/x"}),
    }
    assert len(folders) == 3


async def test_the_process_stands_alone_and_stops_on_sigterm_within_five_seconds(tmp_path: Path) -> None:
    twin = tmp_path / "twin.json"
    twin.write_text(json.dumps({"definitions": {"one": DEFINITION}}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modules.aggregator", "--standalone", "--twin", str(twin), "--metrics-port", "0"),
        cwd=PROJECT,
        env={**os.environ, "AGGREGATOR_STATE": str(tmp_path / "state")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for record in ({"t": 1, "m": "a", "v": 2}, {"t": 10, "m": "a", "v": 1}):
        process.stdin.write(json.dumps({"input": "messages", "body": record}).encode() + b"\n")
    assert json.loads(await process.stdout.readline())["body"]["values"] == {"sum": 2}
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
    assert (tmp_path / "state" / "aggregator.db").stat().st_mode & 0o777 == 0o600
