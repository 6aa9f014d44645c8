"""Where custom endpoints put messages."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import aiohttp
import orjson

from iot_core.errors import EdgeyardError
from iot_core.json_types import JsonObject

__all__ = ["DeliveryError", "FileSink", "Sink", "WebhookSink"]

WEBHOOK_TIMEOUT_S = 30.0
"""From the first byte sent to the last one of the answer."""


class DeliveryError(EdgeyardError):
    """The messages may not have arrived; they are sent again."""


class Sink(Protocol):
    """The far side of an endpoint."""

    async def deliver(self, documents: Sequence[JsonObject]) -> None:
        """Hand over messages, in order; DeliveryError, and then all of them will come again."""

    async def close(self) -> None:
        """Let go of connections."""


class WebhookSink:
    """POSTs a JSON array of documents; any answer of 200 to 299 takes them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, documents: Sequence[JsonObject]) -> None:
        """See Sink."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S))
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            async with self._session.post(self._url, data=orjson.dumps(documents), headers=headers) as response:
                if not 200 <= response.status < 300:
                    raise DeliveryError(f"the webhook answered HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DeliveryError(f"the webhook does not answer: {str(error) or 'time-out'}") from error

    async def close(self) -> None:
        """See Sink."""
        if self._session is not None:
            await self._session.close()


class FileSink:
    """Appends one line of JSON per document, on disk (synced) when ``deliver`` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def deliver(self, documents: Sequence[JsonObject]) -> None:
        """See Sink."""
        lines = b"".join(orjson.dumps(document) + b"\n" for document in documents)
        try:
            await asyncio.to_thread(self._append, lines)
        except OSError as error:
            raise DeliveryError(f"{self._path} cannot be written: {error.strerror}") from error

    async def close(self) -> None:
        """See Sink."""

    def _append(self, lines: bytes) -> None:
        is_new = not self._path.exists()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            # What a crash left of a line must not run into the next one; its message comes again.
            if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
                file.write(b"\n")
            file.write(lines)
            file.flush()
            os.fsync(descriptor)
        if is_new:
            _sync_folder(self._path.parent)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on disk only when its folder is synced too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
