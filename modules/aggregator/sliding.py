"""Sliding windows: for every time at which a record came, what the `size` before it held.

The window of time t is (t - size, t]. It closes when the watermark has passed t. There is no result when a record
leaves a window. Making a result merges the cells of all times in the window.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from typing import Any

from modules.aggregator.cells import Cell, Census, Layout, Pane, Values
from modules.aggregator.windows import Added

__all__ = ["SlidingWindows"]


class SlidingWindows:
    """A pane's own cell holds the records of exactly its end; `content` is the whole window.

    A pane is kept as long as a window that contains it may be corrected.
    """

    def __init__(self, layout: Layout, census: Census, *, size: int, lateness: int) -> None:
        self._layout = layout
        self.census = census
        self._size = size
        self._lateness = lateness
        self._times: dict[str, list[int]] = {}
        self._panes: dict[tuple[str, int], Pane] = {}
        self._open: list[tuple[int, str]] = []
        self._closed: list[tuple[int, str]] = []

    def add(self, key: str, time: int, values: Values, watermark: int) -> Added:
        added = Added()
        own_is_gone = time + self._lateness < watermark
        if own_is_gone:
            added.missed.append((time - self._size, time))
        if time + self._size + self._lateness <= watermark:
            return added
        pane = self._panes.get((key, time))
        if pane is None:
            if not self.census.admits(key):
                added.refused = True
                return added
            pane = self._make(key, time, is_open=time >= watermark)
        pane.cell.add(values, time)
        added.corrected = self._changed(key, time, watermark)
        return added

    def close(self, watermark: int) -> list[Pane]:
        closed: list[Pane] = []
        while self._open and self._open[0][0] < watermark:
            time, key = entry = heapq.heappop(self._open)
            heapq.heappush(self._closed, entry)
            pane = self._panes[key, time]
            pane.is_open = False
            closed.append(pane)
        return closed

    def forget(self, watermark: int) -> None:
        while self._closed and self._closed[0][0] + self._size + self._lateness <= watermark:
            self._drop(*heapq.heappop(self._closed))

    def next_close(self) -> int | None:
        return self._open[0][0] + 1 if self._open else None

    def horizon(self, time: int) -> int:
        return time + 1

    def content(self, pane: Pane) -> Cell:
        merged = Cell(self._layout)
        times = self._times[pane.key]
        for at in range(bisect_right(times, pane.start), bisect_right(times, pane.end)):
            merged.merge(self._panes[pane.key, times[at]].cell)
        return merged

    def set_lateness(self, lateness: int) -> None:
        self._lateness = lateness

    def open_panes(self) -> int:
        return len(self._open)

    def dump(self) -> list[Any]:
        return [pane.dump() for pane in self._panes.values()]

    def load(self, state: list[Any]) -> None:
        for written in state:
            self._insert(Pane.load(written, self._layout))

    def _changed(self, key: str, time: int, watermark: int) -> list[Pane]:
        """Closed panes of windows that hold `time` and may still be corrected."""
        times = self._times[key]
        panes = (
            self._panes[key, times[at]] for at in range(bisect_left(times, time), bisect_left(times, time + self._size))
        )
        return [pane for pane in panes if not pane.is_open and pane.end + self._lateness >= watermark]

    def _make(self, key: str, time: int, *, is_open: bool) -> Pane:
        pane = Pane(key, time - self._size, time, Cell(self._layout))
        pane.is_open = is_open
        self._insert(pane)
        return pane

    def _insert(self, pane: Pane) -> None:
        self._panes[pane.key, pane.end] = pane
        insort(self._times.setdefault(pane.key, []), pane.end)
        heapq.heappush(self._open if pane.is_open else self._closed, (pane.end, pane.key))
        self.census.made(pane.key)

    def _drop(self, time: int, key: str) -> None:
        del self._panes[key, time]
        self.census.gone(key)
        times = self._times[key]
        del times[bisect_left(times, time)]
        if not times:
            del self._times[key]
