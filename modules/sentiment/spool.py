"""A queue of messages that is bounded in memory and goes on in a file.

azure-iot-device acknowledges a message to the edge hub before the module has done anything with it, so what the module
holds must outlive a stop: `close` writes it to the file, and the next start begins with it. Messages keep their order.
After a crash those in the file may come a second time, and those that were only in memory are lost.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import orjson
import structlog

from iot_core.message import Message

__all__ = ["SpoolQueue"]

log = structlog.get_logger("sentiment.spool")
FILE_NAME = "spool.v1.jsonl"
"""One message per line; the version is in the name, so that another format leaves old files alone."""


class SpoolQueue:
    """First in, first out; one consumer. `memory` messages are held in memory, the rest in `folder`."""

    def __init__(self, folder: Path, *, memory: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / FILE_NAME
        self._memory = memory
        self._held: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._offset = 0
        self.spooled = 0
        """Messages that are in the file only."""
        self._recover()

    def __len__(self) -> int:
        return len(self._held) + self.spooled

    def put(self, message: Message) -> None:
        """Add a message; OSError when memory is full and the disk too."""
        if self.spooled or len(self._held) >= self._memory:
            _append(self._path, [message])
            self.spooled += 1
        else:
            self._held.append(message)
        self._filled.set()

    async def head(self, count: int) -> list[Message]:
        """Up to `count` messages from the front, at least one; they stay in the queue until `done`."""
        await self._filled.wait()
        return list(islice(self._held, count))

    def done(self, count: int) -> None:
        """Remove `count` messages from the front."""
        for _ in range(count):
            self._held.popleft()
        self._refill()
        if not self._held:
            self._filled.clear()

    def close(self) -> None:
        """Leave in the file what is in the queue, and nothing else."""
        rest = [*self._held, *self._read(self.spooled)]
        if not rest:
            self._path.unlink(missing_ok=True)
            return
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _append(fresh, rest)
        fresh.replace(self._path)
        log.info("kept for the next start", messages=len(rest))

    def _recover(self) -> None:
        if self._path.exists():
            self.spooled = _whole_lines(self._path)
            self._refill()
        if self._held:
            self._filled.set()

    def _refill(self) -> None:
        """Read from the file when half of the memory is free; drop the file when all of it is handled."""
        if self.spooled and len(self._held) <= self._memory // 2:
            read = self._read(min(self.spooled, self._memory - len(self._held)))
            self.spooled -= len(read)
            self._held.extend(read)
        if self._offset and not len(self):
            self._path.unlink(missing_ok=True)
            self._offset = 0

    def _read(self, count: int) -> list[Message]:
        if not count:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = [file.readline() for _ in range(count)]
            self._offset = file.tell()
        return [_decoded(line) for line in lines]


def _append(path: Path, messages: Iterable[Message]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with open(descriptor, "ab") as file:
        file.writelines(_encoded(message) for message in messages)
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(path: Path) -> int:
    """The number of lines; a last one that a crash cut short is cut off."""
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
    return content.count(b"\n")


def _encoded(message: Message) -> bytes:
    body = base64.b64encode(message.body).decode()
    return orjson.dumps([body, message.properties, message.system]) + b"\n"


def _decoded(line: bytes) -> Message:
    body, properties, system = orjson.loads(line)
    return Message(base64.b64decode(body), properties, system)
