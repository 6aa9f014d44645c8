"""Progress of work that may take longer than a second, on stderr and only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeyard.cli.render import stderr

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(text: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Gives what takes the number done so far; without a `total` it is counted only."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=done)
