"""How many telemetry messages of 256 bytes the scorer judges a second, on one core.

    python -m benchmarks.telemetry_scoring [--messages N] [--devices N] [--runs N]

From a message's bytes to the bytes of its answer, windows full; without a hub and its network, which
benchmarks.hub_telemetry measures. The process is bound to one core where the system allows it. Messages come one by
one, or sixteen at a time, as under load: what waits is judged together. Prints a table and writes
benchmarks/results/telemetry_scoring.json: messages a second, worst and best of the runs, and the processor's own time,
which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from iot_core.message import Message
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.settings import ScorerSettings
from modules.scorer.telemetry import TelemetryScorer

RESULTS = Path(__file__).with_name("results")
BODY_BYTES = 256
DETECTORS = ("graph", "graph+context", "context")
TOGETHER = (1, 16)
HISTORY = 1_000  # values of each series before the clock starts: more than any window
SEED = 20260101
NOISE = 0.3  # degrees on a daily wave of 6, about what a room's thermometer shows


@dataclass(frozen=True, kw_only=True)
class Row:
    """Messages a second, worst and best of the runs; `cpu_us` of one message in the best, in microseconds."""

    detector: str
    together: int
    worst: float
    best: float
    cpu_us: float


def temperatures(count: int, random: np.random.Generator) -> list[float]:
    hours = np.arange(count)
    wave = 18 + 3 * np.sin(2 * np.pi * hours / 24) + random.normal(0, NOISE, count)
    return [round(float(value), 2) for value in wave]


def message(device: int, celsius: float) -> Message:
    record = {"temperature": celsius, "unit": "celsius", "sensor": "ambient", "note": ""}
    record["note"] = "x" * (BODY_BYTES - len(orjson.dumps(record)))
    return Message(orjson.dumps(record), {}, {"connectionDeviceId": f"device-{device:04}", "messageId": "m"})


def warm_scorer(settings: ScorerSettings, devices: int, random: np.random.Generator) -> TelemetryScorer:
    """A scorer whose windows are full; each series has been judged once, so its contexts are learnt."""
    scorer = TelemetryScorer(detector=Detector(AnomalyModel()))
    for device in range(devices):
        record = {"temperature": temperatures(HISTORY, random), "sensor": "ambient"}
        system = {"connectionDeviceId": f"device-{device:04}"}
        scorer.take(Message(orjson.dumps(record), {"phase": "history"}, system), settings)
        scorer.take(message(device, 18.0), settings)
    return scorer


def measure(detector: str, together: int, messages: int, devices: int, runs: int) -> Row:
    settings, random = ScorerSettings.from_twin({"detector": detector}), np.random.default_rng(SEED)
    scorer = warm_scorer(settings, devices, random)
    rates, cpu = [], []
    for _ in range(runs):
        values = temperatures(messages, random)
        batch = [message(number % devices, values[number // devices]) for number in range(messages)]
        start, used = time.perf_counter(), time.process_time()
        for first in range(0, messages, together):
            scorer.take_all(batch[first : first + together], settings)
        rates.append(messages / (time.perf_counter() - start))
        cpu.append(1e6 * (time.process_time() - used) / messages)
    assert scorer.counts.scored == messages * runs + devices
    return Row(detector=detector, together=together, worst=min(rates), best=max(rates), cpu_us=min(cpu))


def bind_to_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def format_table(rows: list[Row]) -> str:
    head = f"{'detector':16}{'together':>9}{'worst/s':>10}{'best/s':>10}{'CPU µs':>10}"
    lines = (f"{r.detector:16}{r.together:>9}{r.worst:>10,.0f}{r.best:>10,.0f}{r.cpu_us:>10,.0f}" for r in rows)
    return "\n".join((head, *lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="in each run")
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    bind_to_one_core()
    size = (arguments.messages, arguments.devices, arguments.runs)
    rows = [measure(name, together, *size) for name in DETECTORS for together in TOGETHER]
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    document = json.dumps([asdict(row) for row in rows], indent=2) + "\n"
    (RESULTS / "telemetry_scoring.json").write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
