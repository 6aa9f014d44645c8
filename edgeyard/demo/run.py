"""Runs the demo from an empty data folder to its table of findings, and keeps it up for a look around."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from edgeyard.demo.findings import Finding
from edgeyard.demo.processes import DemoError
from edgeyard.demo.report import format_findings, format_look_around
from edgeyard.demo.scenario import play
from edgeyard.demo.yard import Yard, raise_yard

__all__ = ["run_demo"]

ONCE_LIMIT_S = 60.0
"""`--once` ends by itself within this time, one way or the other."""


async def run_demo(project: Path, console: Console, *, once: bool) -> bool:
    """Plays the demo in a temporary data folder of its own; whether everything that had to happen did.

    Raises `DemoError` when a part does not come up. The folder goes when all went well and is kept, and named,
    when not. SIGINT and SIGTERM end it cleanly at any point.
    """
    home = Path(tempfile.mkdtemp(prefix="edgeyard-demo-"))
    ok = False
    try:
        with _cancelled_by_signals():
            ok = await _play_in(home, project, console, once=once)
    except asyncio.CancelledError:
        console.print("demo: stopped")
        ok = True
    except TimeoutError as error:
        raise DemoError(f"the demo did not end within {ONCE_LIMIT_S:.0f} s; its logs are in {home}/logs") from error
    finally:
        if ok:
            shutil.rmtree(home, ignore_errors=True)
        else:
            console.print(f"The logs are in {home}/logs", markup=False)
    return ok


async def _play_in(home: Path, project: Path, console: Console, *, once: bool) -> bool:
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.1f} s[/dim]  ", end="")
        console.print(text, markup=False, soft_wrap=True)

    async with asyncio.timeout(ONCE_LIMIT_S if once else None), raise_yard(home, project, say) as yard:
        findings = await play(yard, project, say)
        console.print(format_findings(findings))
        ok = all(finding.ok for finding in findings)
        _print_failures(findings, console)
        if ok and not once:
            console.print(format_look_around(yard), soft_wrap=True)
            await _stay_up(yard)
        return ok


def _print_failures(findings: list[Finding], console: Console) -> None:
    for finding in findings:
        if not finding.ok:
            console.print(f"[bold red]did not happen:[/bold red] {finding.what}: ", end="")
            console.print(finding.seen, markup=False)


async def _stay_up(yard: Yard) -> None:
    ended = await yard.first_to_end()
    raise DemoError(f"the {ended.name} ended by itself: {ended.last_words()}")


@contextlib.contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into a cancellation of the current task, so that everything started is ended."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
