"""What commands print: tables and colour for people, JSON for machines, one line for an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Output", "print_error", "print_json", "print_note", "print_table", "stderr", "stdout"]

stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


class Output(StrEnum):
    """Formats of `--output`."""

    TABLE = "table"
    JSON = "json"


def print_json(value: Any) -> None:
    """One JSON document, indented, never wrapped or coloured."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table whose cells are taken as they are (no markup)."""
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    stdout.print(table)


def print_note(text: str) -> None:
    """A remark beside the result, on stderr so that pipes stay clean."""
    stderr.print(text, style="dim", markup=False, soft_wrap=True)


def print_error(text: str) -> None:
    """`error: …` on stderr, one line."""
    stderr.print("error:", style="bold red", end=" ")
    stderr.print(" ".join(text.split()), markup=False, soft_wrap=True)
