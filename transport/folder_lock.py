"""One process per data folder: an advisory lock that the system drops when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from iot_core.errors import InputError

__all__ = ["FolderLock", "FolderLockedError"]

_LONGEST_HOLDER = 32
"""Bytes of a lock file that are read; a process number is shorter."""


class FolderLockedError(InputError):
    """Another process works in the folder; ``holder`` is its number as text, "unknown" when it left none."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path.parent} is in use by process {holder}")
        self.holder = holder


class FolderLock:
    """The lock on the folder that ``path`` lies in; the file holds the number of the process that has it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; FolderLockedError when another holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, _LONGEST_HOLDER).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderLockedError(self._path, holder) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, so that two processes can never lock two different files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
