"""A load generator for HTTP in a process of its own: the same request over a number of connections, for some seconds.

    python -m benchmarks.http_load HOST PORT REQUEST_FILE CONNECTIONS SECONDS

The file holds the whole request, head and body. Prints {"requests", "seconds", "failed", "answer"}.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Load:
    """Counts answers until the time is over."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._host, self._port, self._request = host, port, request
        self.requests = 0
        self.failed = 0
        self.answer = b""

    async def connection(self, until: float) -> None:
        while time.perf_counter() < until:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            open_still = True
            while open_still and time.perf_counter() < until:
                writer.write(self._request)
                await writer.drain()
                open_still = await self._read(reader)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bool:
        """Take one answer; whether the server keeps the connection open after it."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        if found is None:
            raise ValueError(f"an answer without a length: {head[:200]!r}")
        self.answer = await reader.readexactly(int(found[1]))
        self.requests += 1
        self.failed += not head.startswith(b"HTTP/1.1 200")
        return CLOSE.search(head) is None


async def run(host: str, port: int, request: bytes, connections: int, seconds: float) -> dict[str, object]:
    load = Load(host, port, request)
    start = time.perf_counter()
    await asyncio.gather(*(load.connection(start + seconds) for _ in range(connections)))
    taken = time.perf_counter() - start
    return {
        "requests": load.requests,
        "seconds": taken,
        "failed": load.failed,
        "answer": load.answer[:300].decode("utf-8", "replace"),
    }


if __name__ == "__main__":
    host, port, file, connections, seconds = sys.argv[1:]
    result = run(host, int(port), Path(file).read_bytes(), int(connections), float(seconds))
    print(json.dumps(asyncio.run(result)))
