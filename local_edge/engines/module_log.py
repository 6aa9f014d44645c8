"""The bounded log of one module: a file and one older file, turned when the newer is full."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

__all__ = ["MAX_LOG_BYTES", "ModuleLog", "log_path", "read_log"]

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Bytes per file, so that a module keeps at most twice this on disk."""


class ModuleLog:
    """Append-only writer; at most twice `max_bytes` stay on disk."""

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._open()

    def write(self, data: bytes) -> None:
        """Append `data`; it is in the file when this returns."""
        if self._size + len(data) > self._max_bytes and self._size:
            self._turn()
        os.write(self._descriptor, data)
        self._size += len(data)

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _turn(self) -> None:
        os.close(self._descriptor)
        self._path.replace(_older(self._path))
        self._open()


def log_path(home: Path, module: str) -> Path:
    """Where the log of `module` lies in the home of an edge."""
    return home / "logs" / f"{module}.log"


def read_log(path: Path, tail: int | None = None) -> str:
    """The last `tail` lines (all when None) over both files; empty when nothing was printed yet."""
    lines: deque[bytes] = deque(maxlen=tail)
    for part in (_older(path), path):
        if part.exists():
            with part.open("rb") as file:
                lines.extend(file)
    return b"".join(lines).decode("utf-8", errors="replace")


def _older(path: Path) -> Path:
    return path.with_suffix(".log.1")
