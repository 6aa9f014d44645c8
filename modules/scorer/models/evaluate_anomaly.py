# mypy: disable-error-code="import-not-found, import-untyped"
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["numpy==2.4.6", "onnxruntime==1.32.0", "vega_datasets==0.9.0"]
# ///
"""Measures the detectors on temperatures with faults; what it prints is in anomaly.md.

    python -m modules.scorer.models.evaluate_anomaly [--detector graph]

Faults (a single value off by some degrees) are put into the hourly temperatures of vega_datasets, as they are and with
the noise of a sensor. These play no part in the choice of the threshold; benchmarks/nab.py measures what does.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modules.scorer.anomaly import AnomalyModel, Detector
from modules.scorer.settings import ScorerSettings

Float64 = npt.NDArray[np.float64]

SHIFTS = (15.0, -15.0, 10.0, 8.0)  # degrees Celsius of the injected faults
APART = 347  # hours between two faults: none is in the window of the next, and they fall on every hour of the day
PASSES = 3  # over each year, the faults elsewhere each time: 72 faults of each shift
WARM_UP = 336  # hours before the first: the graph's window
SEED = 20260101


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one year: false alarms, the highest score without a fault, and the share of faults found, by shift."""

    alarms: int
    highest: float
    found: dict[float, float]


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


def scores(values: Float64, settings: ScorerSettings) -> Float64:
    """The scorer's score of every hour, 0 while the series is too short to be judged."""
    judgements = Detector(AnomalyModel()).judge_all([(("series",), value) for value in values.tolist()], settings)
    return np.array([judgement.score or 0.0 for judgement in judgements])


def found_share(values: Float64, shift: float, settings: ScorerSettings) -> float:
    """The share of single faults of `shift` degrees that are flagged."""
    found: list[bool] = []
    for turn in range(PASSES):
        faults = np.arange(WARM_UP + turn * APART // PASSES, values.size, APART)
        faulty = values.copy()
        faulty[faults] += shift
        found += (scores(faulty, settings)[faults] >= settings.threshold).tolist()
    return sum(found) / len(found)


def outcome(values: Float64, settings: ScorerSettings) -> Outcome:
    sound = scores(values, settings)[WARM_UP:]
    return Outcome(
        alarms=int(np.count_nonzero(sound >= settings.threshold)),
        highest=float(sound.max()),
        found={shift: found_share(values, shift, settings) for shift in SHIFTS},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the detectors on temperatures with faults.")
    parser.add_argument("--detector", choices=("graph", "graph+context", "context"), default="graph")
    settings = ScorerSettings.from_twin({"detector": parser.parse_args().detector})
    for name, values in temperature_series().items():
        found = outcome(values, settings)
        shares = ", ".join(f"{shift:+.0f}: {share:.0%}" for shift, share in found.found.items())
        print(f"{name}: {found.alarms} false alarms, highest {found.highest:.3f}; found {shares}")


if __name__ == "__main__":
    main()
