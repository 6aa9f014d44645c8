"""What the terminal shows while a stack is applied, and how its user is asked."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from types import TracebackType

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from edgeyard.cli.hubs import TargetHub, confirm_change
from edgeyard.cli.render import Output, print_note, stderr
from edgeyard.cli.stack_render import print_preview
from hub_tools.stacks.preview import Preview
from hub_tools.stacks.waiting import WaitReport
from iot_core.errors import InputError

__all__ = ["Screen"]

BeforeChange = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """There is nothing to look up first."""


class Screen:
    """The watcher of a command. Asks on a hub that is not local, or always where the command says so.

    `before` is called before anything is asked, and stops the command by what it raises.
    """

    def __init__(
        self, target: TargetHub, output: Output, *, yes: bool, always: bool = False, before: BeforeChange = _nothing
    ) -> None:
        self._target, self._output, self._yes, self._always, self._before = target, output, yes, always, before
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def previewed(self, preview: Preview) -> None:
        if self._output is Output.TABLE:
            print_preview(preview)

    async def agrees(self, question: str) -> bool:
        """Asks in the midst of the loop, when nothing is under way yet."""
        await self._before()
        if not self._always:
            confirm_change(self._target, question, yes=self._yes)
            return True
        if self._yes:
            return True
        if not sys.stdin.isatty():
            raise InputError(f"this would {question} on {self._target.host_name}: give --yes to agree")
        if typer.confirm(f"This will {question} on {self._target.host_name}. Go on?", err=True):
            return True
        print_note("Nothing was changed.")
        return False

    def step(self, text: str) -> None:
        self.note(text)

    def waits(self, report: WaitReport) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("devices report success", total=report.total)
            if report.offline:
                self.note(f"not seen lately, they follow when they come back: {_some(report.offline)}")
        text = f"devices report success, {len(report.failed)} failures" if report.failed else "devices report success"
        self._progress.update(self._task, completed=report.succeeded, total=report.total, description=text)

    def note(self, text: str) -> None:
        print_note(text)


def _some(names: tuple[str, ...], most: int = 10) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
