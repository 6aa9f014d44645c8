"""The telemetry scorer on the Numenta Anomaly Benchmark, standard profile.

    python -m benchmarks.nab --data DIR

DIR holds data/*/*.csv and labels/combined_windows.json; the benchmark's data are not in this repository. The scorer's
own detector judges every file from its first row to its last, with its default settings but those named in VARIANTS:
nothing is set for a single file, and nothing of a file is known before its rows come. Prints a table and writes
benchmarks/results/nab.json: for each variant the score, the threshold that is best for all files, and values a second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nab_rule import Float64, Labelled, load, score
from iot_core.errors import InputError
from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.settings import ScorerSettings

RESULTS = Path(__file__).with_name("results")
BARE = "graph, bare"
VARIANTS: dict[str, dict[str, Any]] = {
    BARE: {"detector": "graph", "refractoryValues": 0},
    "graph": {"detector": "graph"},
    "context, bare": {"detector": "context", "refractoryValues": 0},
    "context": {"detector": "context"},
    "graph+context": {"detector": "graph+context"},
}
"""Settings of the scorer's twin."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant: its score, how much more than the bare graph's, the threshold, values a second on one core."""

    variant: str
    score: float
    gain: float
    threshold: float
    values_per_second: float


def judged(file: Labelled, settings: ScorerSettings) -> tuple[Float64, float]:
    """The score of every row (0 while the series is too short to be judged), and the processor's seconds."""
    detector, start = Detector(AnomalyModel()), time.process_time()
    judgements = detector.judge_all([((file.name,), value) for value in file.values.tolist()], settings)
    scores = np.array([judgement.score or 0.0 for judgement in judgements])
    return scores, time.process_time() - start


def measure(corpus: Sequence[Labelled], processes: int) -> list[Row]:
    rows: list[Row] = []
    with ProcessPoolExecutor(processes) as pool:
        for name, desired in VARIANTS.items():
            settings = ScorerSettings.from_twin(desired)
            found = list(pool.map(judged, corpus, repeat(settings)))
            result = score(corpus, [scores for scores, _ in found])
            values, seconds = sum(file.values.size for file in corpus), sum(seconds for _, seconds in found)
            bare = rows[0].score if rows else result.score
            rows.append(
                Row(
                    variant=name,
                    score=round(result.score, 1),
                    gain=round(result.score - bare, 1),
                    threshold=round(result.threshold, 3),
                    values_per_second=round(values / seconds),
                )
            )
    return rows


def format_table(rows: Sequence[Row]) -> str:
    head = f"{'':16}{'score':>7}{'gain':>7}{'threshold':>11}{'values/s':>10}"
    lines = (
        f"{row.variant:16}{row.score:>7.1f}{row.gain:>+7.1f}{row.threshold:>11.3f}{row.values_per_second:>10,.0f}"
        for row in rows
    )
    return "\n".join((head, *lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Numenta Anomaly Benchmark")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="files judged at the same time")
    arguments = parser.parse_args()
    try:
        corpus = load(arguments.data)
        rows = measure(corpus, arguments.processes)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(corpus)} files, {sum(file.values.size for file in corpus):,} values")
    print(format_table(rows))
    RESULTS.mkdir(exist_ok=True)
    document = {"files": [file.name for file in corpus], "variants": [asdict(row) for row in rows]}
    (RESULTS / "nab.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
