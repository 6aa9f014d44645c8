"""A table whose rows come little by little, printed as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from edgeyard.cli.render import stdout

__all__ = ["RowTable"]


class RowTable:
    """Prints rows in columns as wide as the first ones needed; a new column begins a new heading."""

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Prints some more rows."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        heading = not set(names) <= set(self._widths)
        if heading:
            self._widths = {
                name: max(self._widths.get(name, 0), len(name), *(len(row.get(name, "")) for row in rows))
                for name in (*self._widths, *(name for name in names if name not in self._widths))
            }
        if rows and self._widths:
            stdout.print(self._table(rows, heading=heading))

    def _table(self, rows: Sequence[Mapping[str, str]], *, heading: bool) -> Table:
        table = Table(show_header=heading, header_style="bold", box=None, pad_edge=False)
        fits = sum(self._widths.values()) + 2 * len(self._widths) <= stdout.width
        for name, width in self._widths.items():
            table.add_column(name, min_width=width if fits else None)
        for row in rows:
            table.add_row(*(Text(row.get(name, "")) for name in self._widths))
        return table
