"""Lets the writer thread run beside an event loop that never rests.

A thread that waits for the interpreter may ask for it only after the other has held it for a whole switch interval
without a break. A loop that computes in shorter slices breaks off at every poll and takes the interpreter back before
the waiting thread has woken up: measured, 100 callers then got 100 writes in two seconds. So while writes are
outstanding the loop itself rests for GIVE_WAY_S whenever the writer has not come on for PATIENCE_S.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Handover"]

PATIENCE_S = 0.001
# Long enough for a sleeping thread to wake (some 50 µs on Linux) and do some ten writes.
GIVE_WAY_S = 0.0002


class _Worker(Protocol):
    @property
    def has_work(self) -> bool:
        """Whether anything submitted is still unacknowledged."""

    @property
    def progress(self) -> int:
        """A number that grows with every step."""


class Handover:
    """Call ``watch`` on the loop with every submission; it stops by itself when the work is done."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._watching = False

    @property
    def watching(self) -> bool:
        """Whether it looks at the worker again."""
        return self._watching

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make sure that the loop gives way from time to time until the worker has no work."""
        if not self._watching:
            self._watching = True
            self._look_later(loop)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(PATIENCE_S, self._look, loop, self._worker.progress)

    def _look(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        if not self._worker.has_work:
            self._watching = False
            return
        if self._worker.progress == before:
            time.sleep(GIVE_WAY_S)
        self._look_later(loop)
