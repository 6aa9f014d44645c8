"""The context detector of one series: numbers become levels, and a memory of contexts says how unfamiliar each is."""

from __future__ import annotations

from modules.scorer.contexts import LEVELS, ContextMemory
from modules.scorer.window import Float64

__all__ = ["REMEMBERED", "ContextDetector"]

REMEMBERED = 1_000
"""Values from which the contexts are learnt anew when the range of the series changes; some 80 ms of work."""
REACH = 0.05
"""Of the range; a value that far outside is still the highest or lowest level: not every record makes a new range."""
SHRUNK = 0.5
"""When the values that are remembered fill less of the range than this, an outlier has set it: a new range."""


class ContextDetector:
    """Levels divide the range of the values seen so far. A value outside of it makes a new range, and the contexts are
    learnt anew by it, as if the range had been known before."""

    def __init__(self) -> None:
        self._memory: ContextMemory | None = None
        self._low = self._high = 0.0
        self._until_look = REMEMBERED

    def score(self, history: Float64, value: float) -> float:
        """How unfamiliar `value` is after `history` (the values before it, oldest first, REMEMBERED of them), 0 to 1.
        It is remembered; call this for each value in turn, or `forget` what was learnt."""
        if self._memory is None or not self._reaches(value):
            self._memory = self._learnt(history, value)
        elif self._until_look == 0:
            self._look(history, value)
        self._until_look -= 1
        return self._memory.take(self._level(value))

    def forget(self) -> None:
        """Learn anew from the history at the next value."""
        self._memory = None

    def _reaches(self, value: float) -> bool:
        slack = REACH * (self._high - self._low)
        return self._low - slack <= value <= self._high + slack

    def _look(self, history: Float64, value: float) -> None:
        self._until_look = REMEMBERED
        filled = max(float(history.max()), value) - min(float(history.min()), value)
        if filled < SHRUNK * (self._high - self._low):
            self._memory = self._learnt(history, value)

    def _learnt(self, history: Float64, value: float) -> ContextMemory:
        self._until_look = REMEMBERED
        self._low = min(float(history.min(initial=value)), value)
        self._high = max(float(history.max(initial=value)), value)
        memory = ContextMemory()
        for each in history.tolist():
            memory.take(self._level(each))
        return memory

    def _level(self, value: float) -> int:
        span = self._high - self._low
        share = (value - self._low) / span if span else 0.0
        return int(min(max(share, 0.0), 1.0) * (LEVELS - 1))
