"""Anomalies in series of numbers: a window for each, a score for its next value, a rule against repeated alarms."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from iot_core.errors import InputError
from modules.scorer.contextual import REMEMBERED, ContextDetector
from modules.scorer.models import MODELS_FOLDER
from modules.scorer.onnx_model import Float32, OnnxModel
from modules.scorer.settings import ScorerSettings
from modules.scorer.window import Float64, Window

__all__ = ["AnomalyModel", "Detector", "Judgement", "Kept", "Key", "refracted"]

Key: TypeAlias = tuple[str | None, ...]
"""What tells one series from another."""
DEFAULT_MODEL = MODELS_FOLDER / "anomaly.onnx"
BATCH = 16  # windows in one run of the graph: half the time of one by one; with more its matrices outgrow the cache
SCORE_DIGITS = 3  # rounding inside the model makes differences of some thousandths between machines and batch sizes


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A value and how unusual it is: `score` 0..1, None while its series is too short to tell."""

    value: float
    score: float | None
    anomaly: bool


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a series is after a restart: its values and its bare scores, oldest first. Contexts are learnt from them."""

    key: Key
    values: Float64
    scores: Float64


class AnomalyModel:
    """window [N, W] → score [N]; the model knows W."""

    def __init__(self, model: OnnxModel | Path = DEFAULT_MODEL) -> None:
        """Raises InputError for a model of another shape."""
        self.model = OnnxModel(model) if isinstance(model, Path) else model
        shape = self.model.input_shape
        if len(shape) != 2 or shape[1] is None or shape[1] < 2:
            raise InputError(f"model {self.model.name}: its input must be [N, W] with a fixed W, not {list(shape)}")
        self.window = shape[1]
        self.score([0.0, 1.0], 1.0)

    def score(self, history: Float64 | Sequence[float], value: float) -> float:
        """The score of `value` after `history`, oldest first; raises as `scores`."""
        return float(self.scores(self.row(np.asarray(history, dtype=np.float64), value)[np.newaxis])[0])

    def row(self, history: Float64, value: float) -> Float32:
        """The window [W] that ends with `value`. A short history is mirrored until it fills the window."""
        window = np.empty(self.window, dtype=np.float32)
        kept = history[-(self.window - 1) :]
        missing = self.window - 1 - kept.size
        window[:-1] = np.pad(kept, (missing, 0), mode="reflect") if missing else kept
        window[-1] = value
        return window

    def scores(self, windows: Float32) -> Float64:
        """The scores [N] of windows [N, W]. Raises InferenceError, and InputError for an answer that is not one finite
        number for each window."""
        scores = self.model.run(windows)
        if scores.size != len(windows) or not np.isfinite(scores).all():
            raise InputError(f"model {self.model.name}: its score must be one finite number for each window")
        return scores.reshape(-1).astype(np.float64)


class Detector:
    """Judges values series by series, in the order in which they come; the oldest silent series gives way to a new one.

    The work is done in the calling thread: the graph takes a twentieth to a tenth of a millisecond for each, little
    more than a hand-over, and the contexts twice that.
    """

    def __init__(self, model: AnomalyModel) -> None:
        self.model = model
        self.forgotten = 0
        """Series that gave way to others."""
        self._series: OrderedDict[Key, _Series] = OrderedDict()
        self._changed: set[Key] = set()
        self._dropped: set[Key] = set()

    def __len__(self) -> int:
        """The number of series remembered."""
        return len(self._series)

    def use(self, model: AnomalyModel) -> None:
        """Judge by another model from the next value on. The scores of the old one count no more in the refractory
        rule; a longer window fills as values come."""
        self.model = model
        for key, series in self._series.items():
            series.scores.clear()
            series.reserve(self._capacity())
            self._changed.add(key)

    def remember(self, key: Key, values: Iterable[float], settings: ScorerSettings) -> None:
        """Take values, oldest first, into the window of a series without judging them."""
        series = self._of(key, settings)
        series.contexts.forget()
        for value in values:
            series.values.append(value)

    def judge(self, key: Key, value: float, settings: ScorerSettings) -> Judgement:
        """Judge the next value of a series and take it into its window; raises InputError when the model cannot."""
        return self.judge_all([(key, value)], settings)[0]

    def judge_all(self, values: Sequence[tuple[Key, float]], settings: ScorerSettings) -> list[Judgement]:
        """The same for values of any series, in the order in which they came: the graph runs once for up to BATCH."""
        judgements: list[Judgement] = []
        for chunk in _chunks(values, settings):
            judgements += self._judge(chunk, settings)
        return judgements

    def changed(self) -> tuple[list[Kept], list[Key]]:
        """The series that changed since the last call, the one silent for longest first, and those that are gone."""
        kept = [_kept(key, series) for key, series in self._series.items() if key in self._changed]
        gone = sorted(self._dropped, key=str)
        self._changed, self._dropped = set(), set()
        return kept, gone

    def unsaved(self, kept: Iterable[Kept], gone: Iterable[Key]) -> None:
        """What `changed` gave could not be kept: give it again."""
        self._changed |= {each.key for each in kept} & self._series.keys()
        self._dropped |= set(gone) - self._series.keys()

    def restore(self, kept: Iterable[Kept]) -> None:
        """Go on with series of an earlier process, given in the order of `changed`."""
        for each in kept:
            series = self._series[each.key] = _Series(self._capacity())
            for value in each.values.tolist():
                series.values.append(value)
            series.scores.extend(each.scores.tolist())

    def _judge(self, values: Sequence[tuple[Key, float]], settings: ScorerSettings) -> list[Judgement]:
        """Values whose windows do not depend on each other's scores."""
        pending = [self._taken(key, value, settings) for key, value in values]
        rows = [each.row for each in pending if each.row is not None]
        graph = iter(self.model.scores(np.stack(rows)).tolist() if rows else ())
        return [_judged(each, next(graph) if each.row is not None else None, settings) for each in pending]

    def _taken(self, key: Key, value: float, settings: ScorerSettings) -> _Pending:
        """What is to be known of a value before the graph runs; with `keep_anomalies` it is in its window then."""
        series = self._of(key, settings)
        row = unfamiliar = None
        judged = len(series.values) >= min(settings.minimum_history, self.model.window - 1)
        if judged and settings.detector != "context":
            row = self.model.row(series.values.last(self.model.window - 1), value)
        if settings.detector == "graph" or not judged:
            series.contexts.forget()
        else:
            unfamiliar = series.contexts.score(series.values.last(REMEMBERED), value)
        if settings.keep_anomalies or not judged:
            series.values.append(value)
        return _Pending(series=series, value=value, row=row, unfamiliar=unfamiliar)

    def _of(self, key: Key, settings: ScorerSettings) -> _Series:
        series = self._series.pop(key, None) or _Series(self._capacity())
        self._series[key] = series
        self._changed.add(key)
        self._dropped.discard(key)
        while len(self._series) > settings.max_series:
            old, _ = self._series.popitem(last=False)
            self.forgotten += 1
            self._changed.discard(old)
            self._dropped.add(old)
        return series

    def _capacity(self) -> int:
        return max(self.model.window - 1, REMEMBERED)


class _Series:
    """The last values and the last bare scores of one series, and its contexts."""

    def __init__(self, capacity: int) -> None:
        self.values = Window(capacity)
        self.scores: deque[float] = deque()
        self.contexts = ContextDetector()

    def recent(self, count: int) -> Iterator[float]:
        """The last `count` scores; older ones are given up."""
        while len(self.scores) > count:
            self.scores.popleft()
        return iter(self.scores)

    def reserve(self, capacity: int) -> None:
        """Make room for so many values."""
        self.values = Window(capacity, self.values.last(capacity).tolist())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pending:
    """A value between the look at its series and its score; both None: too short a series."""

    series: _Series
    value: float
    row: Float32 | None
    unfamiliar: float | None


def _judged(pending: _Pending, graph: float | None, settings: ScorerSettings) -> Judgement:
    """By the detectors that the settings name; of two the mean, so that a flag needs both."""
    series, value = pending.series, pending.value
    found = [score for score in (graph, pending.unfamiliar) if score is not None]
    if not found:
        return Judgement(value=value, score=None, anomaly=False)
    bare = sum(found) / len(found)
    score = round(refracted(bare, series.recent(settings.refractory_values)), SCORE_DIGITS)
    series.scores.append(bare)
    anomaly = score >= settings.threshold
    if not settings.keep_anomalies:
        if anomaly:
            series.contexts.forget()
        else:
            series.values.append(value)
    return Judgement(value=value, score=score, anomaly=anomaly)


def _chunks(values: Sequence[tuple[Key, float]], settings: ScorerSettings) -> Iterator[Sequence[tuple[Key, float]]]:
    """Pieces for one run of the graph. Where scores decide what enters a window, a series comes once in a piece."""
    start, seen = 0, set[Key]()
    for position, (key, _) in enumerate(values):
        again = key in seen and not settings.keep_anomalies
        if again or position - start == BATCH:
            yield values[start:position]
            start, seen = position, set()
        seen.add(key)
    yield values[start:]


def _kept(key: Key, series: _Series) -> Kept:
    return Kept(
        key=key,
        values=series.values.last(series.values.capacity).copy(),
        scores=np.array(series.scores, dtype=np.float64),
    )


def refracted(score: float, recent: Iterable[float]) -> float:
    """`score`, halved unless it beats every score in `recent`: what goes on is one event, and alarms once. Causal."""
    return score if score > max(recent, default=-1.0) else score / 2
