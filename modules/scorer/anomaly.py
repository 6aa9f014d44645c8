"""Anomalies in series of numbers: a window per series, the ONNX model's score, and a rule against repeated alarms."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iot_core.errors import InputError
from modules.scorer.models import MODELS_FOLDER
from modules.scorer.onnx_model import Float32, OnnxModel
from modules.scorer.settings import ScorerSettings

__all__ = ["AnomalyModel", "Detector", "Judgement", "refracted"]

DEFAULT_MODEL = MODELS_FOLDER / "anomaly.onnx"
SCORE_DIGITS = 3  # rounding inside the model makes differences of some thousandths between machines and batch sizes


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A value and how unusual it is: `score` 0..1, None while its series is too short to tell."""

    value: float
    score: float | None
    anomaly: bool


class AnomalyModel:
    """window [N, W] → score [N]; the model knows W."""

    def __init__(self, path: Path = DEFAULT_MODEL) -> None:
        self.model = OnnxModel(path)
        shape = self.model.input_shape
        if len(shape) != 2 or shape[1] is None:
            raise InputError(f"model {path.name}: its input must be [N, W] with a fixed W, not {list(shape)}")
        self.window = shape[1]

    def score(self, history: Iterable[float], value: float) -> float:
        """The score of `value` after `history`, oldest first. A short history is mirrored until it fills the window."""
        return float(self.model.run(self._filled(np.fromiter(history, dtype=np.float64), value))[0])

    def _filled(self, history: np.ndarray[tuple[int], np.dtype[np.float64]], value: float) -> Float32:
        kept = history[-(self.window - 1) :]
        padded = np.pad(kept, (self.window - 1 - kept.size, 0), mode="reflect")
        return np.append(padded, value).astype(np.float32)[np.newaxis]


class Detector:
    """Judges values series by series, in the order in which they come; the oldest silent series gives way to a new one.

    The model runs in the calling thread: a value takes a quarter of a millisecond, little more than a
    hand-over.
    """

    def __init__(self, model: AnomalyModel) -> None:
        self.model = model
        self._series: OrderedDict[Hashable, _Series] = OrderedDict()

    def __len__(self) -> int:
        """The number of series remembered."""
        return len(self._series)

    def remember(self, key: Hashable, values: Iterable[float], settings: ScorerSettings) -> None:
        """Take values, oldest first, into the window of a series without judging them."""
        self._of(key, settings).values.extend(values)

    def judge(self, key: Hashable, value: float, settings: ScorerSettings) -> Judgement:
        """Judge the next value of a series and take it into its window."""
        series = self._of(key, settings)
        if len(series.values) < min(settings.minimum_history, self.model.window - 1):
            series.values.append(value)
            return Judgement(value=value, score=None, anomaly=False)
        bare = self.model.score(series.values, value)
        score = round(refracted(bare, series.recent(settings.refractory_values)), SCORE_DIGITS)
        series.scores.append(bare)
        anomaly = score >= settings.threshold
        if settings.keep_anomalies or not anomaly:
            series.values.append(value)
        return Judgement(value=value, score=score, anomaly=anomaly)

    def _of(self, key: Hashable, settings: ScorerSettings) -> _Series:
        series = self._series.pop(key, None) or _Series(self.model.window)
        self._series[key] = series
        while len(self._series) > settings.max_series:
            self._series.popitem(last=False)
        return series


class _Series:
    """The last values and the last bare scores of one series."""

    LONGEST_REFRACTORY = 10_000

    def __init__(self, window: int) -> None:
        self.values: deque[float] = deque(maxlen=window - 1)
        self.scores: deque[float] = deque(maxlen=self.LONGEST_REFRACTORY)

    def recent(self, count: int) -> list[float]:
        start = max(0, len(self.scores) - count)
        return [self.scores[position] for position in range(start, len(self.scores))]


def refracted(score: float, recent: Iterable[float]) -> float:
    """`score`, halved unless it beats every score in `recent`: what goes on is one event, and alarms once. Causal."""
    return score if score > max(recent, default=-1.0) else score / 2
