"""Child processes of the demo: started in an environment that names no other hub, watched, and always ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from iot_core.errors import EdgeyardError

__all__ = ["Child", "DemoError", "clean_environment"]

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV")
"""All that a child inherits: nothing that could name a hub, a proxy or another data folder."""
STOP_GRACE_S = 8.0
LOG_TAIL_LINES = 5


class DemoError(EdgeyardError):
    """Something that the demo needs did not happen; the message says what, and where to look."""


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of every child: basics of ours, and the demo's own data folder."""
    basics = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**basics, "EDGEYARD_HOME": str(home), "PYTHONUNBUFFERED": "1"}


class Child:
    """One process, `python -m …`, whose output goes to a log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], *, home: Path, folder: Path) -> Child:
        """Starts `python -m ARGUMENTS` in `folder`, in a process group of its own."""
        log = home / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *arguments,
                cwd=folder,
                env=clean_environment(home),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def ready(self, word: str, *, within_s: float) -> None:
        """Returns once a line of the output begins with `word`; `DemoError` when it ends first or takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not any(line.startswith(word) for line in self._lines()):
                    if not self.running:
                        raise DemoError(f"the {self.name} ended at once: {self.last_words()}")
                    await asyncio.sleep(0.05)
                return
        raise DemoError(f"the {self.name} was not ready after {within_s:.0f} s: {self.last_words()}")

    async def ended(self) -> int:
        """Waits for its end; the exit code."""
        return await self._process.wait()

    def last_words(self) -> str:
        """The last lines of its output, for a message."""
        return " | ".join(self._lines()[-LOG_TAIL_LINES:]) or f"it printed nothing ({self.log})"

    async def stop(self) -> None:
        """Asks it to end, and ends it with all of its children when it does not."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()
