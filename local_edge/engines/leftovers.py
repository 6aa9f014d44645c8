"""Processes that an edge left behind when it was killed: noted on disk while they run, ended at the next start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

__all__ = ["end_leftovers", "forget", "note"]


def note(folder: Path, module: str, pid: int) -> None:
    """Remember that `pid` leads the process group of `module`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = {"pid": pid, "started": _start_mark(pid)}
    (folder / f"{module}.json").write_text(json.dumps(record), encoding="utf-8")


def forget(folder: Path, module: str) -> None:
    """The process of `module` is gone."""
    (folder / f"{module}.json").unlink(missing_ok=True)


def end_leftovers(folder: Path) -> list[str]:
    """Kill what earlier edges left running in this home; the names of those modules."""
    ended = []
    for path in sorted(folder.glob("*.json")) if folder.exists() else []:
        if _kill(path):
            ended.append(path.stem)
        path.unlink(missing_ok=True)
    return ended


def _kill(path: Path) -> bool:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        pid, started = int(record["pid"]), record["started"]
    except (ValueError, KeyError, TypeError):
        return False
    # Process ids are used again: only a process that started at the noted moment is ours.
    if not started or _start_mark(pid) != started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return True


def _start_mark(pid: int) -> str:
    """A text that differs between two processes that had the same id, empty when there is no such process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        with contextlib.suppress(OSError):
            # Field 22, counted after the command name, which may hold spaces: start time in clock ticks since boot.
            return stat.read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        return ""
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
