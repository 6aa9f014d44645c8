"""What one window of one group holds, and how many windows and groups there may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules.aggregator.parts import Part

__all__ = ["Cell", "Census", "Layout", "Pane", "Values"]

Values = Sequence[Any]
"""One value for each column of a layout, None where the record has none."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of every cell, and for each the number of the column that feeds it."""

    parts: tuple[Callable[[], Part], ...]
    columns: tuple[int, ...]


class Cell:
    """A count of records and the parts of a layout."""

    __slots__ = ("_columns", "parts", "records")

    def __init__(self, layout: Layout) -> None:
        self.records = 0
        self.parts = [make() for make in layout.parts]
        self._columns = layout.columns

    def add(self, values: Values, time: int) -> None:
        """Take one record."""
        self.records += 1
        for part, column in zip(self.parts, self._columns, strict=False):  # They are of one length: one layout's.
            value = values[column]
            if value is not None:
                part.add(value, time)

    def merge(self, other: Cell) -> None:
        """Take what another cell of the same layout took."""
        self.records += other.records
        for mine, theirs in zip(self.parts, other.parts, strict=True):
            mine.merge(theirs)

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [self.records, *(part.dump() for part in self.parts)]

    def load(self, state: list[Any]) -> None:
        """Become what `dump` wrote."""
        self.records = state[0]
        for part, written in zip(self.parts, state[1:], strict=True):
            part.load(written)


class Pane:
    """A window of one group: [start, end) in microseconds, its cell, and the results that were given of it.

    `revision` is that of the last result, -1 before the first; `results` are the ids that the next one supersedes.
    """

    __slots__ = ("cell", "end", "is_open", "key", "results", "revision", "start")

    def __init__(self, key: str, start: int, end: int, cell: Cell) -> None:
        self.key = key
        self.start = start
        self.end = end
        self.cell = cell
        self.is_open = True
        self.revision = -1
        self.results: list[str] = []

    def dump(self) -> list[Any]:
        """As JSON; `load` reads it."""
        return [self.key, self.start, self.end, self.is_open, self.revision, self.results, self.cell.dump()]

    @classmethod
    def load(cls, state: list[Any], layout: Layout) -> Pane:
        """What `dump` wrote."""
        key, start, end, is_open, revision, results, cell = state
        pane = cls(key, start, end, Cell(layout))
        pane.is_open, pane.revision, pane.results = is_open, revision, results
        pane.cell.load(cell)
        return pane


class Census:
    """Counts groups and panes, so that memory has a bound: a new group or pane beyond it is refused."""

    __slots__ = ("_groups", "max_groups", "max_panes", "panes")

    def __init__(self, *, max_groups: int, max_panes: int) -> None:
        self.max_groups = max_groups
        self.max_panes = max_panes
        self.panes = 0
        self._groups: dict[str, int] = {}

    @property
    def groups(self) -> int:
        """Groups that have a pane."""
        return len(self._groups)

    def admits(self, key: str) -> bool:
        """Whether one more pane of this group may be made."""
        return self.panes < self.max_panes and (key in self._groups or len(self._groups) < self.max_groups)

    def made(self, key: str) -> None:
        """A pane of the group was made."""
        self.panes += 1
        self._groups[key] = self._groups.get(key, 0) + 1

    def gone(self, key: str) -> None:
        """A pane of the group is not kept any more."""
        self.panes -= 1
        left = self._groups[key] - 1
        if left:
            self._groups[key] = left
        else:
            del self._groups[key]
