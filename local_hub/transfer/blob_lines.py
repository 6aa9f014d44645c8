"""Blobs of lines, written and read a few MiB at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from local_hub.transfer.container import Container, ContainerError

__all__ = ["Line", "LineWriter", "read_lines"]

BLOCK_BYTES = 4 * 1024 * 1024
"""What is held in memory of a blob; a blob of 50,000 such blocks has 200 GB."""
MOST_LINE_BYTES = 1024 * 1024
"""Far above a device with a full twin (72 KB, and its metadata)."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line without its end; ``end`` is where the next one begins."""

    text: bytes
    end: int


class LineWriter:
    """Writes a blob of lines; nothing of it is there before ``close``. ContainerError."""

    def __init__(self, container: Container, blob: str) -> None:
        self._container = container
        self._blob = blob
        self._buffer = bytearray()
        self._blocks = 0

    async def write(self, line: bytes) -> None:
        """Add a line."""
        self._buffer += line + b"\n"
        if len(self._buffer) >= BLOCK_BYTES:
            await self._flush()

    async def close(self) -> None:
        """Make the blob, in place of one that is there."""
        if self._buffer:
            await self._flush()
        await self._container.commit(self._blob, self._blocks)

    async def _flush(self) -> None:
        await self._container.stage(self._blob, self._blocks, bytes(self._buffer))
        self._blocks += 1
        self._buffer.clear()


async def read_lines(container: Container, blob: str, start: int, size: int) -> AsyncIterator[Line]:
    """The lines in a blob's bytes ``start`` to ``size``, empty ones too; ContainerError, also for one over 1 MiB."""
    rest, fetched, end = b"", start, start
    while fetched < size:
        chunk = await container.read(blob, fetched, min(BLOCK_BYTES, size - fetched))
        if not chunk:
            raise ContainerError(f"the blob {blob} is shorter than it was")
        fetched += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            end += len(line) + 1
            yield Line(text=_bare(line), end=end)
        if len(rest) > MOST_LINE_BYTES:
            raise ContainerError(f"the blob {blob} has a line of more than {MOST_LINE_BYTES} bytes")
    if rest:
        yield Line(text=_bare(rest), end=size)


def _bare(line: bytes) -> bytes:
    """Without what editors on Windows add."""
    return line.removesuffix(b"\r").removeprefix(_BYTE_ORDER_MARK)
