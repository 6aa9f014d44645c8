"""Buffers for bodies, used again: to fault in fresh memory costs more than to copy the body."""

from __future__ import annotations

import time

__all__ = ["BufferPool"]

SMALLEST = 64 * 1024  # bytes; below, fresh memory is as quick
LARGEST = 8 * 1024 * 1024  # bytes; larger bodies are rare, and their buffers would be held for nothing
KEPT = 8  # buffers: as many as requests of this size are likely to be under way at once
UNUSED_S = 60.0  # without a taker, after which the memory goes back to the system


class BufferPool:
    """Hands out bytearrays whose content is of no use. Use from one thread."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []
        self._used_at = 0.0

    def take(self, length: int) -> bytearray:
        """A bytearray of exactly `length` bytes."""
        while SMALLEST <= length <= LARGEST and self._free:
            self._used_at = time.monotonic()
            buffer = self._free.pop()
            if _resized(buffer, length):
                return buffer
        return bytearray(length)

    def give_back(self, buffer: bytearray) -> None:
        """Take back a buffer that nobody reads or writes any more."""
        if SMALLEST <= len(buffer) <= LARGEST and len(self._free) < KEPT:
            self._free.append(buffer)

    def sweep(self, now: float) -> None:
        """Let the buffers go when none was wanted for UNUSED_S before the monotonic time `now`."""
        if now - self._used_at > UNUSED_S:
            self._free.clear()


def _resized(buffer: bytearray, length: int) -> bool:
    """False when something still looks into the buffer; it is then left alone."""
    try:
        if length < len(buffer):
            del buffer[length:]
        else:
            buffer.extend(bytes(length - len(buffer)))
    except BufferError:
        return False
    return True
