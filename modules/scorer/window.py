"""The newest numbers of a series, in one piece of memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Float64", "Window"]

Float64: TypeAlias = npt.NDArray[np.float64]


class Window:
    """Keeps the last `capacity` numbers. Room for twice as many is filled from left to right; then the newer half moves
    to the left, so that the newest numbers always lie side by side."""

    def __init__(self, capacity: int, values: Iterable[float] = ()) -> None:
        self.capacity = capacity
        self._room: Float64 = np.empty(2 * capacity, dtype=np.float64)
        self._end = 0
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return min(self._end, self.capacity)

    def append(self, value: float) -> None:
        """Add a number at the end; the oldest makes way when there are `capacity` already."""
        if self._end == self._room.size:
            self._room[: self.capacity] = self._room[self.capacity :]
            self._end = self.capacity
        self._room[self._end] = value
        self._end += 1

    def last(self, count: int) -> Float64:
        """The newest numbers, oldest first, at most `count`: a view that the next `append` may change."""
        return self._room[max(self._end - min(count, self.capacity), 0) : self._end]
