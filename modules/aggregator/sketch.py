"""Percentiles in bounded memory: DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019).

A percentile is off by at most ERROR of its own value. The guarantee holds for values within seventeen powers of ten of
the largest magnitude seen (MAX_BINS); smaller ones count as the smallest that still has a bin. Neither the order of the
values nor that of merges changes the answer.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["ERROR", "MAX_BINS", "Sketch"]

ERROR = 0.01
"""Relative error of a percentile, as a part of its value."""
MAX_BINS = 2_048
"""Bins of the positive values, and of the negative ones: at most some 200 KB for one sketch, mostly a few KB."""
_LOG_GAMMA = math.log((1 + ERROR) / (1 - ERROR))
_MIDDLE = math.log(2 / (1 + math.exp(_LOG_GAMMA)))

Bins = dict[int, int]


class Sketch:
    """Counts of values by the logarithm of their magnitude."""

    __slots__ = ("count", "greatest", "least", "negative", "positive", "zeros")

    def __init__(self) -> None:
        self.count = 0
        self.zeros = 0
        self.positive: Bins = {}
        self.negative: Bins = {}
        self.least = math.inf
        self.greatest = -math.inf

    def add(self, value: float) -> None:
        """Count a finite number."""
        self.count += 1
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)
        if value == 0:
            self.zeros += 1
            return
        bins = self.positive if value > 0 else self.negative
        index = math.ceil(math.log(abs(value)) / _LOG_GAMMA)
        bins[index] = bins.get(index, 0) + 1
        if len(bins) > MAX_BINS:
            _fold(bins)

    def merge(self, other: Sketch) -> None:
        """Count what the other has counted."""
        self.count += other.count
        self.zeros += other.zeros
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        for mine, theirs in ((self.positive, other.positive), (self.negative, other.negative)):
            for index, count in theirs.items():
                mine[index] = mine.get(index, 0) + count
            while len(mine) > MAX_BINS:
                _fold(mine)

    def percentile(self, p: float) -> float | None:
        """The value at rank p/100 × (count - 1), rounded down (0: least, 100: greatest); None without values."""
        if not self.count:
            return None
        rank = math.floor(p / 100 * (self.count - 1))
        if rank == 0:
            return self.least
        if rank == self.count - 1:
            return self.greatest
        return min(max(self._at(rank), self.least), self.greatest)

    def _at(self, rank: int) -> float:
        for index in sorted(self.negative, reverse=True):
            rank -= self.negative[index]
            if rank < 0:
                return -_value(index)
        rank -= self.zeros
        if rank < 0:
            return 0.0
        for index in sorted(self.positive):
            rank -= self.positive[index]
            if rank < 0:
                return _value(index)
        return self.greatest

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [self.zeros, self.least, self.greatest, _flat(self.positive), _flat(self.negative)]

    @classmethod
    def load(cls, state: list[Any]) -> Sketch:
        """What `dump` wrote."""
        sketch = cls()
        sketch.zeros, least, greatest, positive, negative = state
        sketch.positive, sketch.negative = _bins(positive), _bins(negative)
        sketch.count = sketch.zeros + sum(sketch.positive.values()) + sum(sketch.negative.values())
        if sketch.count:
            sketch.least, sketch.greatest = least, greatest
        return sketch


def _value(index: int) -> float:
    """The value in the middle of a bin, in the relative sense."""
    try:
        return math.exp(index * _LOG_GAMMA + _MIDDLE)
    except OverflowError:
        return math.inf


def _fold(bins: Bins) -> None:
    """Count the smallest magnitude with the next one."""
    smallest = min(bins)
    count = bins.pop(smallest)
    bins[min(bins)] += count


def _flat(bins: Bins) -> list[int]:
    return [number for pair in bins.items() for number in pair]


def _bins(flat: list[int]) -> Bins:
    return dict(zip(flat[::2], flat[1::2], strict=True))
