"""Windows over event time, without I/O: which windows a record is in, when they close, how long they are kept.

Rules that all kinds share:

- A window is open until the watermark reaches its end; then it gives its first result.
- It is kept until the watermark is its allowed lateness beyond its end. A record that comes for it meanwhile corrects
  it: there is a new result at once.
- A record that comes for a window that is not kept any more is missed there; `Added.missed` says so.
- Windows are aligned to 1970-01-01T00:00:00Z plus the offset, in UTC: there is no daylight saving.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from modules.aggregator.cells import Cell, Census, Pane, Values

__all__ = ["Added", "Windows"]


@dataclass(slots=True)
class Added:
    """What became of a record: closed panes that it changed, starts of windows that it missed, whether a limit refused
    it a new pane."""

    corrected: list[Pane] = field(default_factory=list)
    missed: list[tuple[int, int]] = field(default_factory=list)
    refused: bool = False


class Windows(Protocol):
    """The windows of one definition. All times are microseconds."""

    census: Census

    def add(self, key: str, time: int, values: Values, watermark: int) -> Added:
        """Put a record of group `key` into its windows."""

    def close(self, watermark: int) -> list[Pane]:
        """The panes that the watermark closes, by end and then in the order they were made."""

    def forget(self, watermark: int) -> None:
        """Drop what no record can change any more; after the results of what has closed were made."""

    def next_close(self) -> int | None:
        """The watermark that closes the next pane; None when none is open."""

    def horizon(self, time: int) -> int:
        """The watermark that closes every window that records up to `time` can be in."""

    def content(self, pane: Pane) -> Cell:
        """What a pane's result is made of."""

    def set_lateness(self, lateness: int) -> None:
        """Keep closed windows so long from now on."""

    def open_panes(self) -> int:
        """How many panes have not closed."""

    def dump(self) -> list[Any]:
        """As JSON."""

    def load(self, state: list[Any]) -> None:
        """Become what `dump` wrote; only on new windows."""
