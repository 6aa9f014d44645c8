"""How many tensors of 1 x 3 x 224 x 224 a second the scorer takes over HTTP, and what one costs.

    python -m benchmarks.scoring [--requests N] [--connections N]

Starts the scorer as a process of its own, posts the same body of about 3 MB over a number of connections, and reads the
server's own processor time from the operating system. Peers are not measured here yet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import numpy as np

RESULTS = Path(__file__).parent / "results" / "scoring.json"
HOST = "127.91.3.3"
SEED = 20260101
WARM_UP = 16  # requests before the clock starts: threads and buffers are made then


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table."""

    server: str
    body_bytes: int
    connections: int
    requests: int
    requests_per_second: float
    cpu_ms_per_request: float


def tensor_body() -> bytes:
    """{"data": …} as a JSON encoder for float64 writes it: about 3 MB."""
    tensor = np.random.default_rng(SEED).normal(size=(1, 3, 224, 224)).astype(np.float32)
    return json.dumps({"data": tensor.astype(np.float64).tolist()}).encode()


async def started() -> tuple[Process, int]:
    """The scorer, once it listens, and its port."""
    command = (sys.executable, "-m", "modules.scorer", "--standalone", "--host", HOST, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    assert process.stderr is not None
    line = await process.stderr.readline()
    return process, int(json.loads(line)["port"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    ticks_per_second = 100  # USER_HZ, fixed in the kernel's interface to programs
    return (int(fields[11]) + int(fields[12])) / ticks_per_second


async def post_many(url: str, body: bytes, requests: int, connections: int) -> None:
    left = iter(range(requests))

    async def connection() -> None:
        for _ in left:
            async with session.post(url, data=body_stream(body), headers=headers) as response:
                response.raise_for_status()
                await response.read()

    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(connection() for _ in range(connections)))


async def body_stream(body: bytes) -> AsyncIterator[bytes]:
    """In pieces, so that the client's own event loop is not held up."""
    for start in range(0, len(body), 1 << 18):
        yield body[start : start + (1 << 18)]


async def measure(requests: int, connections: int) -> Result:
    process, port = await started()
    url, body = f"http://{HOST}:{port}/score", tensor_body()
    try:
        await post_many(url, body, WARM_UP, connections)
        cpu, start = cpu_seconds(process.pid), time.perf_counter()
        await post_many(url, body, requests, connections)
        seconds, used = time.perf_counter() - start, cpu_seconds(process.pid) - cpu
    finally:
        process.terminate()
        await process.wait()
    return Result(
        server="edgeyard scorer",
        body_bytes=len(body),
        connections=connections,
        requests=requests,
        requests_per_second=round(requests / seconds, 1),
        cpu_ms_per_request=round(1000 * used / requests, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the scorer over HTTP.")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.requests, arguments.connections))
    print(f"{'server':<18}{'req/s':>8}{'CPU ms/req':>12}")
    print(f"{result.server:<18}{result.requests_per_second:>8}{result.cpu_ms_per_request:>12}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
