# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["numpy==2.4.6", "onnxruntime==1.32.0", "vega_datasets==0.9.0"]
# ///
"""Measures anomaly.onnx with the refractory rule; what it prints is in anomaly.md.

    python -m modules.scorer.models.evaluate_anomaly [--nab FOLDER]

FOLDER holds data/*/*.csv and labels/combined_windows.json of the Numenta Anomaly Benchmark: its standard profile gives
the score and the best threshold. Faults (a single value off by some degrees) are injected into the hourly temperatures
of vega_datasets, as they are and with noise of a sensor; these play no part in the choice of the threshold.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modules.scorer.anomaly import AnomalyModel, refracted
from modules.scorer.settings import ScorerSettings

Float64 = npt.NDArray[np.float64]

CHUNK = 64  # windows per call of the model: it needs half a megabyte for each
FALSE_POSITIVE_WEIGHT = 0.11  # standard profile; a missed window and a found one weigh 1
PROBATION_SHARE, PROBATION_MOST = 0.15, 750  # the first values of a file are not scored
SHIFTS = (15.0, -15.0, 10.0, 8.0)  # degrees Celsius of the injected faults
TRIALS = 200
SEED = 20260101


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One file of the benchmark: values, and first and last index of each labelled window."""

    values: Float64
    windows: list[tuple[int, int]]


def load_nab(folder: Path) -> Iterator[Labelled]:
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
    for path in sorted((folder / "data").glob("*/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        times = [_seconds(row[0]) for row in rows]
        windows = [
            (int(np.searchsorted(times, _seconds(start))), int(np.searchsorted(times, _seconds(end), side="right")) - 1)
            for start, end in labels.get(f"{path.parent.name}/{path.name}", [])
        ]
        yield Labelled(values=np.array([float(row[1]) for row in rows]), windows=windows)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def bare_scores(model: AnomalyModel, values: Float64) -> Float64:
    """The model's score of every value; before the window is full, the values before are mirrored."""
    padded = np.pad(values, (model.window - 1, 0), mode="reflect").astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, model.window)
    parts = [model.model.run(np.ascontiguousarray(windows[i : i + CHUNK])) for i in range(0, len(windows), CHUNK)]
    return np.concatenate(parts).astype(np.float64)


def final_scores(model: AnomalyModel, values: Float64, refractory: int) -> Float64:
    """With the refractory rule, as the module applies it."""
    bare = bare_scores(model, values)
    return np.array([refracted(bare[i], bare[max(0, i - refractory) : i].tolist()) for i in range(len(bare))])


def sigmoid(position: Float64) -> Float64:
    return 2 / (1 + np.exp(5 * position)) - 1


def weights_of(labelled: Labelled) -> tuple[Float64, npt.NDArray[np.int64]]:
    """What a detection at each value earns (inside a window) or costs, and the window's number, -1 outside."""
    count = len(labelled.values)
    weights, numbers = np.full(count, -1.0), np.full(count, -1)
    for number, (start, end) in enumerate(labelled.windows):
        width = end - start + 1
        after = np.arange(end + 1, count)
        weights[end + 1 :] = sigmoid(np.minimum((after - end) / max(width - 1, 1), 3.0))
        inside = np.arange(start, end + 1)
        weights[start : end + 1] = sigmoid(-(end - inside + 1) / width) / sigmoid(np.array(-1.0))
        numbers[start : end + 1] = number
    return weights, numbers


def nab_score(corpus: list[Labelled], scores: list[Float64]) -> tuple[float, float]:
    """The score of the standard profile at the best threshold for the whole corpus, and that threshold."""
    events, windows = [], 0
    for file, (labelled, found) in enumerate(zip(corpus, scores, strict=True)):
        probation = min(int(PROBATION_SHARE * len(found)), PROBATION_MOST)
        weights, numbers = weights_of(labelled)
        windows += sum(1 for _, end in labelled.windows if end >= probation)
        events += [(found[i], file, int(numbers[i]), weights[i]) for i in range(probation, len(found))]
    return _best(sorted(events, key=lambda event: -event[0]), windows)


def _best(events: list[tuple[float, int, int, float]], windows: int) -> tuple[float, float]:
    best: dict[tuple[int, int], float] = {}
    total, top, threshold = -float(windows), -np.inf, 1.0
    for position, (score, file, number, weight) in enumerate(events):
        if number < 0:
            total += FALSE_POSITIVE_WEIGHT * weight
        else:
            before = best.get((file, number), -1.0)  # a window not found has cost 1 already
            best[file, number] = max(before, weight)
            total += best[file, number] - before
        last_of_equals = position + 1 == len(events) or events[position + 1][0] != score
        if last_of_equals and total > top:
            top, threshold = total, score
    return 100 * (top + windows) / (2 * windows), float(threshold)


def temperature_series() -> dict[str, Float64]:
    """Hourly temperatures of a year in degrees Celsius: as recorded, and with noise of a sensor, in steps of 0.1."""
    from vega_datasets import local_data

    random = np.random.default_rng(SEED)
    series = {}
    for city in ("seattle_temps", "sf_temps"):
        recorded = (getattr(local_data, city)()["temp"].to_numpy(dtype=np.float64) - 32) / 1.8
        series[city] = recorded
        series[f"{city}, noise 0.3 °C"] = np.round(recorded + random.normal(0, 0.3, recorded.size), 1)
    return series


def found_share(model: AnomalyModel, values: Float64, shift: float, threshold: float) -> float:
    """The share of single faults of `shift` degrees whose bare score reaches the threshold."""
    ends = np.random.default_rng(SEED).integers(model.window, len(values), TRIALS)
    windows = np.stack([values[end - model.window + 1 : end + 1] for end in ends]).astype(np.float32)
    windows[:, -1] += shift
    parts = [model.model.run(windows[i : i + CHUNK]) for i in range(0, TRIALS, CHUNK)]
    return float(np.mean(np.concatenate(parts) >= threshold))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures anomaly.onnx.")
    parser.add_argument("--nab", type=Path, help="folder of the Numenta Anomaly Benchmark")
    folder: Path | None = parser.parse_args().nab
    model, settings = AnomalyModel(), ScorerSettings()
    if folder:
        corpus = list(load_nab(folder))
        for refractory in (0, settings.refractory_values):
            scores = [final_scores(model, labelled.values, refractory) for labelled in corpus]
            best, threshold = nab_score(corpus, scores)
            print(f"NAB, {len(corpus)} files, refractory {refractory}: {best:.1f} at threshold {threshold:.3f}")
    for name, values in temperature_series().items():
        scores_now = final_scores(model, values, settings.refractory_values)[model.window :]
        alarms = 1000 * float(np.mean(scores_now >= settings.threshold))
        shares = ", ".join(f"{s:+.0f}: {found_share(model, values, s, settings.threshold):.3f}" for s in SHIFTS)
        print(f"{name}: {alarms:.2f} false alarms per 1000, highest {scores_now.max():.3f}; found {shares}")


if __name__ == "__main__":
    main()
