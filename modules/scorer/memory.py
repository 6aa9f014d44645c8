"""How this process keeps memory: freed blocks of a few megabytes stay with it."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h of the GNU C library
BLOCK = 32 * 1024 * 1024
"""Bytes; smaller blocks are kept: tensors of requests are of this size, again and again."""
KEPT = 128 * 1024 * 1024
ARENAS = 2  # few, so that what one thread has freed serves another


def keep_freed_memory() -> None:
    """Tell the C library not to hand every block of a tensor's size back to the system and fetch it anew: the page
    faults cost as much as parsing. Nothing happens where this is not the GNU C library."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in ((M_MMAP_THRESHOLD, BLOCK), (M_TRIM_THRESHOLD, KEPT), (M_ARENA_MAX, ARENAS)):
        mallopt(parameter, value)
