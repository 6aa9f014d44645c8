"""Files that only their owner may read, replaced in one piece."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

__all__ = ["FILE_MODE", "write_private"]

FILE_MODE = 0o600


def write_private(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file atomically; at no moment can anyone but the owner read it.

    A private file that holds the data already is left alone: a sync to disk takes longer than reading it. What is
    written anew at every start need not be ``durable``: after a power cut it may be empty until then.
    """
    if _holds(path, data):
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _holds(path: Path, data: bytes) -> bool:
    """Whether it is a plain file of that content which only the owner may read."""
    try:
        status = path.lstat()
        is_private = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == FILE_MODE
        return is_private and status.st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
