"""Session windows: records of a group that are less than `gap` apart.

A session is [first, last + gap). A record between two sessions joins them; the result of the joined session supersedes
those of both. A session is kept a gap longer than its lateness, so that no record can begin a second session where a
first has been.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from modules.aggregator.cells import Cell, Census, Layout, Pane, Values
from modules.aggregator.windows import Added

__all__ = ["SessionWindows"]

Entry = tuple[int, int, Pane]


class SessionWindows:
    """Panes change their bounds; the heaps hold a pane with the end it had, and are put right when it comes up."""

    def __init__(self, layout: Layout, census: Census, *, gap: int, lateness: int) -> None:
        self._layout = layout
        self.census = census
        self._gap = gap
        self._lateness = lateness
        self._sessions: dict[str, list[Pane]] = {}
        self._open: list[Entry] = []
        self._closed: list[Entry] = []
        self._serial = 0

    def add(self, key: str, time: int, values: Values, watermark: int) -> Added:
        added = Added()
        touched = [p for p in self._sessions.get(key, ()) if p.start < time + self._gap and time < p.end]
        if touched:
            pane = self._join(touched)
        elif time + self._gap + self._lateness <= watermark:
            added.missed.append((time, time + self._gap))
            return added
        elif not self.census.admits(key):
            added.refused = True
            return added
        else:
            pane = self._make(key, time)
        pane.start = min(pane.start, time)
        pane.end = max(pane.end, time + self._gap)
        pane.cell.add(values, time)
        self._settle(pane, watermark, added)
        return added

    def close(self, watermark: int) -> list[Pane]:
        closed: list[Pane] = []
        while (end := self.next_close()) is not None and end <= watermark:
            pane = heapq.heappop(self._open)[2]
            pane.is_open = False
            self._push(self._closed, pane)
            closed.append(pane)
        return closed

    def next_close(self) -> int | None:
        """Puts the head of the heap right first."""
        while self._open:
            end, _, pane = self._open[0]
            if not pane.is_open or self._is_gone(pane):
                heapq.heappop(self._open)
            elif pane.end > end:
                heapq.heappop(self._open)
                self._push(self._open, pane)
            else:
                return end
        return None

    def horizon(self, time: int) -> int:
        return time + self._gap

    def content(self, pane: Pane) -> Cell:
        return pane.cell

    def set_lateness(self, lateness: int) -> None:
        self._lateness = lateness

    def open_panes(self) -> int:
        return sum(pane.is_open for pane in self._all())

    def dump(self) -> list[Any]:
        return [pane.dump() for pane in self._all()]

    def load(self, state: list[Any]) -> None:
        for written in state:
            pane = Pane.load(written, self._layout)
            self._sessions.setdefault(pane.key, []).append(pane)
            self.census.made(pane.key)
            self._push(self._open if pane.is_open else self._closed, pane)

    def _make(self, key: str, time: int) -> Pane:
        pane = Pane(key, time, time + self._gap, Cell(self._layout))
        self._sessions.setdefault(key, []).append(pane)
        self.census.made(key)
        self._push(self._open, pane)
        return pane

    def _join(self, panes: list[Pane]) -> Pane:
        """One pane of several that a record connects, the oldest made."""
        first, *others = panes
        for other in others:
            first.start, first.end = min(first.start, other.start), max(first.end, other.end)
            first.cell.merge(other.cell)
            first.revision = max(first.revision, other.revision)
            first.results = [*first.results, *other.results]
            if other.is_open and not first.is_open:
                self._reopen(first)
            self._remove(other)
        return first

    def _settle(self, pane: Pane, watermark: int, added: Added) -> None:
        """A closed pane that now ends behind the watermark opens again; one that does not is corrected."""
        if pane.end > watermark:
            if not pane.is_open:
                self._reopen(pane)
        else:
            if pane.is_open:
                pane.is_open = False
                self._push(self._closed, pane)
            added.corrected.append(pane)

    def _reopen(self, pane: Pane) -> None:
        pane.is_open = True
        self._push(self._open, pane)

    def forget(self, watermark: int) -> None:
        kept = self._gap + self._lateness
        while self._closed and self._closed[0][0] + kept <= watermark:
            end, _, pane = heapq.heappop(self._closed)
            if pane.is_open or self._is_gone(pane):
                continue
            if pane.end > end:
                self._push(self._closed, pane)
            else:
                self._remove(pane)

    def _remove(self, pane: Pane) -> None:
        self.census.gone(pane.key)
        sessions = self._sessions[pane.key]
        sessions.remove(pane)
        if not sessions:
            del self._sessions[pane.key]
        pane.is_open = False
        pane.end = _GONE

    def _is_gone(self, pane: Pane) -> bool:
        return pane.end == _GONE

    def _push(self, heap: list[Entry], pane: Pane) -> None:
        self._serial += 1
        heapq.heappush(heap, (pane.end, self._serial, pane))

    def _all(self) -> Iterator[Pane]:
        for sessions in self._sessions.values():
            yield from sessions


_GONE = -(2**63)
"""The end of a pane that was joined to another or is kept no longer: heaps may still hold it."""
