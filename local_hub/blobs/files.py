"""The files that blobs are made of: written once, synced, read by ranges, removed when nobody needs them any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from local_hub.blobs.rows import Part

__all__ = ["READ_BYTES", "NewFile", "PartFiles"]

READ_BYTES = 256 * 1024
"""How much of a file is in memory at a time."""

_FILE_MODE = 0o600


class NewFile:
    """A file that is being written; after ``seal`` it stays, after ``discard`` it is gone."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self._path = path
        self._sync = sync
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb")

    @property
    def name(self) -> str:
        return self._path.name

    def write(self, data: bytes) -> None:
        """Add to it; OSError."""
        self._file.write(data)

    def seal(self) -> None:
        """Close it; its content and its name are on disk when this returns. OSError."""
        with self._file:
            self._file.flush()
            if self._sync:
                os.fsync(self._file.fileno())
        if self._sync:
            _sync_folder(self._path.parent)

    def discard(self) -> None:
        """Close and remove it."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class PartFiles:
    """The folder of such files. All calls come from the event loop; those that take long go on in threads.

    A file that is being read stays until that reading has ended.
    """

    def __init__(self, folder: Path, durability: Literal["full", "normal"]) -> None:
        self._folder = folder
        self._sync = durability == "full"
        self._readers: Counter[str] = Counter()
        self._unwanted: set[str] = set()

    def prepare(self, in_use: set[str]) -> None:
        """Make the folder, and remove what a crash left over: files that are not in ``in_use``."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name not in in_use:
                path.unlink()

    def create(self) -> NewFile:
        """A new, empty file."""
        return NewFile(self._folder / uuid.uuid4().hex, sync=self._sync)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that no row refers to any more."""
        for name in names:
            if self._readers[name]:
                self._unwanted.add(name)
            else:
                (self._folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def held(self, parts: Sequence[Part]) -> Iterator[None]:
        """Keep the files of ``parts`` while the block runs."""
        names = {part.file for part in parts}
        self._readers.update(names)
        try:
            yield
        finally:
            self._readers.subtract(names)
            free = {name for name in names if not self._readers[name]}
            for name in free:
                del self._readers[name]
            self.remove(free & self._unwanted)
            self._unwanted -= free

    async def read(self, parts: Sequence[Part], wanted: range) -> AsyncIterator[bytes]:
        """The bytes at the offsets ``wanted`` of the parts in a row, piece by piece; the parts must be held."""
        start = 0
        for part in parts:
            first, last = max(wanted.start - start, 0), min(wanted.stop - start, part.size)
            start += part.size
            if first < last:
                async for piece in self._pieces(part.file, first, last):
                    yield piece

    async def _pieces(self, name: str, first: int, last: int) -> AsyncIterator[bytes]:
        with (self._folder / name).open("rb") as file:
            file.seek(first)
            while first < last:
                piece = await asyncio.to_thread(file.read, min(READ_BYTES, last - first))
                if not piece:
                    raise OSError(f"{name} is shorter than it was when it was written")
                first += len(piece)
                yield piece


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
