"""Tumbling and hopping windows: of one size, one beginning every `hop`."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from modules.aggregator.cells import Cell, Census, Layout, Pane, Values
from modules.aggregator.windows import Added

__all__ = ["AlignedWindows"]


class AlignedWindows:
    """Windows [start, start + size) with start = offset + n × hop; a tumbling window's hop is its size.

    `hop` need not divide `size`: a record is then in a varying number of windows.
    """

    def __init__(self, layout: Layout, census: Census, *, size: int, hop: int, offset: int, lateness: int) -> None:
        self._layout = layout
        self.census = census
        self._size = size
        self._hop = hop
        self._offset = offset
        self._lateness = lateness
        self._panes: dict[int, dict[str, Pane]] = {}
        self._open: list[int] = []
        self._closed: list[int] = []

    def add(self, key: str, time: int, values: Values, watermark: int) -> Added:
        added = Added()
        start = time - (time - self._offset) % self._hop
        while start > time - self._size:
            self._add_to(start, key, time, values, watermark, added)
            start -= self._hop
        return added

    def close(self, watermark: int) -> list[Pane]:
        closed: list[Pane] = []
        while self._open and self._open[0] + self._size <= watermark:
            start = heapq.heappop(self._open)
            heapq.heappush(self._closed, start)
            for pane in self._panes[start].values():
                pane.is_open = False
                closed.append(pane)
        return closed

    def forget(self, watermark: int) -> None:
        while self._closed and self._closed[0] + self._size + self._lateness <= watermark:
            for key in self._panes.pop(heapq.heappop(self._closed)):
                self.census.gone(key)

    def next_close(self) -> int | None:
        return self._open[0] + self._size if self._open else None

    def horizon(self, time: int) -> int:
        return time - (time - self._offset) % self._hop + self._size

    def content(self, pane: Pane) -> Cell:
        return pane.cell

    def set_lateness(self, lateness: int) -> None:
        self._lateness = lateness

    def open_panes(self) -> int:
        return sum(len(self._panes[start]) for start in self._open)

    def dump(self) -> list[Any]:
        return [pane.dump() for pane in self._all()]

    def load(self, state: list[Any]) -> None:
        for written in state:
            pane = Pane.load(written, self._layout)
            self._bucket(pane.start, is_open=pane.is_open)[pane.key] = pane
            self.census.made(pane.key)

    def _add_to(self, start: int, key: str, time: int, values: Values, watermark: int, added: Added) -> None:
        end = start + self._size
        if end + self._lateness <= watermark:
            added.missed.append((start, end))
            return
        bucket = self._panes.get(start)
        pane = bucket.get(key) if bucket is not None else None
        if pane is None:
            if not self.census.admits(key):
                added.refused = True
                return
            pane = self._make(start, key, is_open=end > watermark)
        pane.cell.add(values, time)
        if not pane.is_open:
            added.corrected.append(pane)

    def _make(self, start: int, key: str, *, is_open: bool) -> Pane:
        pane = Pane(key, start, start + self._size, Cell(self._layout))
        pane.is_open = is_open
        self._bucket(start, is_open=is_open)[key] = pane
        self.census.made(key)
        return pane

    def _bucket(self, start: int, *, is_open: bool) -> dict[str, Pane]:
        if start not in self._panes:
            self._panes[start] = {}
            heapq.heappush(self._open if is_open else self._closed, start)
        return self._panes[start]

    def _all(self) -> Iterator[Pane]:
        for bucket in self._panes.values():
            yield from bucket.values()
