"""How many messages a second the aggregator takes, on one core, each on disk (synced) before it is acknowledged.

    python -m benchmarks.aggregator [--messages N] [--callers N] [--runs N] [--folder DIR]

The process and all its threads stay on one core (Linux). A message is 200 to 250 bytes of JSON with an id, from one of
1,000 machines, ten records a second of event time each; results are taken by a function that acknowledges at once.

"engine": windows alone, without disk. "module": through `Aggregator.take`, as the input of the module calls it, by so
many callers at once; "app": the same through device.app, from the callback of a client on. "recovery": entries a second
that a start reads back from the journal. "per processor second" divides by the processor time of the process instead of
the time that passed: what the core would do if nothing else ran on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from device.app import App
from device.fake_client import FakeHubClient
from iot_core.message import Message
from modules.aggregator.aggregator import Aggregator
from modules.aggregator.engine import Engine
from modules.aggregator.module import MESSAGES
from modules.aggregator.sender import Sender
from modules.aggregator.settings import AggregatorSettings, Definition

RESULTS = Path(__file__).with_name("results")
MACHINES = 1_000
Rates = tuple[float, float]
START = 1_767_225_600.0
PER_SECOND = 10_000  # records of event time
SYSTEM = {"contentType": "application/json", "contentEncoding": "utf-8", "connectionDeviceId": "line-1"}
VALUE = "$body.machine.temperature"
TUMBLING: dict[str, Any] = {
    "window": {"type": "tumbling", "size": 10},
    "groupBy": {"machine": "$body.machine.id"},
    "timestamp": {"path": "$body.time"},
    "aggregates": {
        "n": {"function": "count"},
        "mean": {"function": "avg", "of": VALUE},
        "low": {"function": "min", "of": VALUE},
        "high": {"function": "max", "of": VALUE},
    },
}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "tumbling: count, avg, min, max": {"a": TUMBLING},
    "the same, hopping 10 s by 5 s": {"a": {**TUMBLING, "window": {"type": "hopping", "size": 10, "hop": 5}}},
    "the same, sessions": {"a": {**TUMBLING, "window": {"type": "session", "gap": 1}}},
    "tumbling: stddev, p95, where": {
        "a": {
            **TUMBLING,
            "where": "$body.machine.temperature > 10 AND line = '7'",
            "aggregates": {
                "sd": {"function": "stddev", "of": VALUE},
                "p95": {"function": "percentile", "of": VALUE, "p": 95},
            },
        }
    },
    "three definitions": {
        "a": TUMBLING,
        "b": TUMBLING | {"groupBy": {}},
        "c": TUMBLING | {"window": {"type": "tumbling", "size": 1}},
    },
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Messages a second, worst and best of the runs."""

    definitions: str
    what: str
    worst: float
    best: float
    per_processor_second: float
    """The best of the runs."""


class Stopwatch:
    """Time that passed and processor time of all threads, since it was made."""

    def __init__(self) -> None:
        self._started = (time.perf_counter(), time.process_time())

    def rates(self, count: int) -> Rates:
        """`count` things, each second that passed and each processor second."""
        passed, used = (
            now - before for now, before in zip((time.perf_counter(), time.process_time()), self._started, strict=True)
        )
        return count / passed, count / used


def settings(definitions: dict[str, Any]) -> AggregatorSettings:
    return AggregatorSettings(definitions={name: Definition.model_validate(one) for name, one in definitions.items()})


def messages(count: int) -> list[Message]:
    return [
        Message(
            orjson.dumps(
                {
                    "time": round(START + number / PER_SECOND, 4),
                    "machine": {
                        "id": f"machine-{number % MACHINES}",
                        "temperature": 20 + number % 97 / 7,
                        "pressure": 1.01,
                    },
                    "ambient": {"temperature": 20.5, "humidity": 24},
                    "note": "x" * 60,
                }
            ),
            {"line": "7"},
            {**SYSTEM, "messageId": f"m-{number}"},
        )
        for number in range(count)
    ]


def engine_alone(definitions: dict[str, Any], sent: list[Message]) -> Rates:
    engine, chosen = Engine(), settings(definitions)
    engine.configure(chosen.definitions, chosen.remembered_ids, generation="0")
    arrival = round(START * 1_000_000)
    watch = Stopwatch()
    for number, message in enumerate(sent):
        engine.message(number, arrival + number, message)
    return watch.rates(len(sent))


async def by_callers(take: Callable[[Message], Awaitable[None]], sent: list[Message], callers: int) -> Rates:
    async def caller(first: int) -> None:
        for message in sent[first::callers]:
            await take(message)

    watch = Stopwatch()
    await asyncio.gather(*(caller(first) for first in range(callers)))
    return watch.rates(len(sent))


async def acknowledge(_message: Message, _output: str) -> None:
    """The edge hub, at its fastest."""


async def module(definitions: dict[str, Any], sent: list[Message], callers: int, folder: Path, *, app: bool) -> Rates:
    aggregator = Aggregator.open(folder)
    sender = Sender(aggregator.outbox, acknowledge, aggregator.acknowledged)
    aggregator.start()
    await aggregator.configure(settings(definitions))
    sending = asyncio.create_task(sender.run())
    take = await through_app(aggregator) if app else aggregator.take
    rates = await by_callers(take, sent, callers)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await aggregator.close()
    return rates


async def through_app(aggregator: Aggregator) -> Callable[[Message], Awaitable[None]]:
    client = FakeHubClient()
    application = App(client, AggregatorSettings, name="aggregator")
    application.input(MESSAGES)(aggregator.take)
    application._register_callbacks()
    return lambda message: client.deliver(MESSAGES, message)


async def recovery(definitions: dict[str, Any], sent: list[Message], folder: Path) -> Rates:
    """The journal of all messages without a snapshot, as after a crash."""
    aggregator = Aggregator.open(folder, snapshot_bytes=2**60)
    aggregator.start()
    await aggregator.configure(settings(definitions))
    await by_callers(aggregator.take, sent, 2_000)
    await aggregator._archive.close()
    watch = Stopwatch()
    again = Aggregator.open(folder)
    rates = watch.rates(len(sent))
    await again._archive.close()
    return rates


def measure(
    name: str, definitions: dict[str, Any], count: int, callers: int, runs: int, disk: Path | None
) -> list[Row]:
    sent = messages(count)
    rates: dict[str, list[Rates]] = {}
    for _ in range(runs):
        rates.setdefault("engine", []).append(engine_alone(definitions, sent))
        for what, app in (("module", False), ("app", True)):
            with tempfile.TemporaryDirectory(dir=disk) as folder:
                rate = asyncio.run(module(definitions, sent, callers, Path(folder), app=app))
                rates.setdefault(what, []).append(rate)
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            rates.setdefault("recovery", []).append(asyncio.run(recovery(definitions, sent, Path(folder))))
    return [row(name, what, found) for what, found in rates.items()]


def row(name: str, what: str, rates: list[Rates]) -> Row:
    passed, used = zip(*rates, strict=True)
    return Row(definitions=name, what=what, worst=min(passed), best=max(passed), per_processor_second=max(used))


def format_table(rows: list[Row]) -> str:
    lines = ["| definitions | | worst/s | best/s | per processor second |", "|---|---|---|---|---|"]
    return "\n".join(
        [
            *lines,
            *(
                f"| {r.definitions} | {r.what} | {r.worst:,.0f} | {r.best:,.0f} | {r.per_processor_second:,.0f} |"
                for r in rows
            ),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="in each run")
    parser.add_argument("--callers", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the state is kept; the disk under it is measured")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows: list[Row] = []
    for name, definitions in DEFINITIONS.items():
        rows += measure(name, definitions, arguments.messages, arguments.callers, arguments.runs, arguments.folder)
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "aggregator.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
