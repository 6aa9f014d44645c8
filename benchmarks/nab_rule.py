"""How the Numenta Anomaly Benchmark scores a detector: the rule of its standard profile, and reading its files.

Every labelled window earns at most one true positive, worth more the earlier it comes; a detection outside of windows
costs more the farther it is behind one; a missed window costs as much as a perfect one earns. The first rows of a file
are probation. One threshold, the best, holds for all files. 0 is a detector that never alarms, 100 a perfect one.
(Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark", 2015, section II.)
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from iot_core.errors import InputError

__all__ = ["Labelled", "Result", "load", "probation", "score", "weights"]

Float64 = npt.NDArray[np.float64]

FALSE_POSITIVE_WEIGHT = 0.11  # standard profile; a missed window and a found one weigh 1
PROBATION_SHARE, PROBATION_MOST = 0.15, 750
FARTHEST = 3.0  # window lengths behind a window from which a false positive costs all that it can


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One file of the benchmark: values, and first and last row of each labelled window."""

    name: str
    values: Float64
    windows: list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """The score and the threshold that reaches it."""

    score: float
    threshold: float


def load(folder: Path) -> list[Labelled]:
    """Every data/*/*.csv of the folder, with its windows in labels/combined_windows.json; InputError."""
    try:
        labels = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
        files = [_file(path, labels) for path in sorted((folder / "data").glob("*/*.csv"))]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{folder} does not hold the Numenta Anomaly Benchmark: {error}") from None
    if not files:
        raise InputError(f"{folder} does not hold the Numenta Anomaly Benchmark: there is no data/*/*.csv")
    return files


def _file(path: Path, labels: dict[str, list[list[str]]]) -> Labelled:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    name = f"{path.parent.name}/{path.name}"
    times = np.array([_seconds(row[0]) for row in rows])
    windows = [
        (int(np.searchsorted(times, _seconds(start))), int(np.searchsorted(times, _seconds(end), side="right")) - 1)
        for start, end in labels.get(name, [])
    ]
    return Labelled(name=name, values=np.array([float(row[1]) for row in rows]), windows=windows)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def probation(rows: int) -> int:
    """How many rows at the start of a file are not scored."""
    return min(int(PROBATION_SHARE * rows), PROBATION_MOST)


def _sigmoid(position: Float64) -> Float64:
    return 2 / (1 + np.exp(5 * position)) - 1


def weights(rows: int, windows: Sequence[tuple[int, int]]) -> tuple[Float64, npt.NDArray[np.int64]]:
    """What a detection at each row earns: inside a window up to 1, outside down to -1 (before FALSE_POSITIVE_WEIGHT).
    And the number of the window that each row is in, -1 outside."""
    earned, numbers = np.full(rows, -1.0), np.full(rows, -1)
    for number, (start, end) in enumerate(windows):
        width = end - start + 1
        behind = np.arange(end + 1, rows) - end
        earned[end + 1 :] = _sigmoid(np.minimum(behind / max(width - 1, 1), FARTHEST))
        left = end - np.arange(start, end + 1) + 1
        earned[start : end + 1] = _sigmoid(-left / width) / _sigmoid(np.array(-1.0))
        numbers[start : end + 1] = number
    return earned, numbers


@dataclass(frozen=True, kw_only=True)
class _Detection:
    """One row that would be a detection at any threshold up to `score`."""

    score: float
    file: int
    window: int
    weight: float


def score(corpus: Sequence[Labelled], scores: Sequence[Float64]) -> Result:
    """The score of anomaly scores, one for each row of each file, at the threshold that is best for the whole corpus.
    Without a window that ends after probation there is nothing to score: InputError."""
    detections: list[_Detection] = []
    windows = 0
    for number, (file, found) in enumerate(zip(corpus, scores, strict=True)):
        first = probation(len(found))
        earned, numbers = weights(len(found), file.windows)
        windows += sum(1 for _, end in file.windows if end >= first)
        detections += [
            _Detection(score=float(found[row]), file=number, window=int(numbers[row]), weight=float(earned[row]))
            for row in range(first, len(found))
        ]
    if not windows:
        raise InputError("no file has a labelled window behind its probation: there is nothing to score")
    return _best(sorted(detections, key=lambda each: -each.score), windows)


def _best(detections: Sequence[_Detection], windows: int) -> Result:
    """Lower the threshold from detection to detection and keep the best total."""
    best = Result(score=0.0, threshold=float("inf"))
    for threshold, total in _totals(detections, -float(windows)):
        points = 100 * (total + windows) / (2 * windows)
        if points > best.score:
            best = Result(score=points, threshold=threshold)
    return best


def _totals(detections: Sequence[_Detection], total: float) -> Iterable[tuple[float, float]]:
    """Every threshold, and what all detections that reach it earn together."""
    earned: dict[tuple[int, int], float] = {}
    for position, each in enumerate(detections):
        if each.window < 0:
            total += FALSE_POSITIVE_WEIGHT * each.weight
        else:
            before = earned.get((each.file, each.window), -1.0)  # a window not found has cost 1 already
            earned[each.file, each.window] = max(before, each.weight)
            total += earned[each.file, each.window] - before
        if position + 1 == len(detections) or detections[position + 1].score != each.score:
            yield each.score, total
