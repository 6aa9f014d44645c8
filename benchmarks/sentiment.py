"""How many short texts a second the stand-in container judges over HTTP, by version and connections.

    python -m benchmarks.sentiment [--requests N] [--connections N …]

Starts the stand-in as a process of its own, posts batches of ten short texts (and one of a thousand for v2.0), and
reads the server's own processor time from the operating system. Then the sentiment module itself, in this process on a
hub that does nothing: texts come one a message from a hundred callers, and count when their answer is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import structlog

from device.fake_client import FakeHubClient
from iot_core.message import Message
from modules.sentiment.api import VERSIONS, ApiVersion, Document
from modules.sentiment.module import create_app
from modules.sentiment_container.model import SentimentModel

RESULTS = Path(__file__).parent / "results" / "sentiment.json"
HOST = "127.91.7.5"
LICENCE = ("Eula=accept", "Billing=https://example.com", "ApiKey=local")
WARM_UP = 20
CALLERS = 100
TEXTS = (
    "Works like a charm, would buy it again.",
    "Stopped after two days and nobody answers.",
    "The parcel came on Tuesday in a blue box.",
    "LOVE it!!! best one ever :)",
    "Not bad at all, but the lid is a bit loose.",
    "I really really despise this product!! DO NOT BUY!!",
    "Clean room, kind people, poor breakfast.",
    "The manual has twelve pages.",
    "It was okay, nothing special.",
    "ugh, the app crashes all the time \U0001f62d",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table; times in milliseconds."""

    what: str
    texts_per_request: int
    connections: int
    requests: int
    texts_per_second: float
    median_ms: float
    worst_ms: float
    cpu_ms_per_request: float


def documents(count: int) -> list[Document]:
    return [Document(id=str(number), text=TEXTS[number % len(TEXTS)], language="en") for number in range(count)]


async def started() -> tuple[Process, int]:
    """The stand-in, once it listens, and its port."""
    command = (sys.executable, "-m", "modules.sentiment_container", *LICENCE, "--host", HOST)
    process = await asyncio.create_subprocess_exec(*command, "--port", "0", "--metrics-port", "0", stderr=PIPE)
    assert process.stderr is not None
    return process, int(json.loads(await process.stderr.readline())["port"])


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    ticks_per_second = 100  # USER_HZ, fixed in the kernel's interface to programs
    return (int(fields[11]) + int(fields[12])) / ticks_per_second


async def post_many(url: str, body: bytes, requests: int, connections: int) -> list[float]:
    """The milliseconds of each request."""
    left, times = iter(range(requests)), list[float]()
    headers = {"Content-Type": "application/json"}

    async def connection() -> None:
        for _ in left:
            start = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as response:
                response.raise_for_status()
                await response.read()
            times.append((time.perf_counter() - start) * 1000)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(connection() for _ in range(connections)))
    return times


async def measured(pid: int, endpoint: str, version: ApiVersion, count: int, requests: int, connections: int) -> Line:
    url, body = endpoint + version.path, version.body(documents(count))
    await post_many(url, body, WARM_UP, connections)
    cpu, start = cpu_seconds(pid), time.perf_counter()
    times = sorted(await post_many(url, body, requests, connections))
    seconds = time.perf_counter() - start
    return Line(
        what=version.name,
        texts_per_request=count,
        connections=connections,
        requests=requests,
        texts_per_second=requests * count / seconds,
        median_ms=times[len(times) // 2],
        worst_ms=times[-1],
        cpu_ms_per_request=(cpu_seconds(pid) - cpu) * 1000 / requests,
    )


def engine(requests: int) -> Line:
    """The model alone, in this process, without HTTP and JSON."""
    model, texts, times = SentimentModel(), list(TEXTS), list[float]()
    cpu, begin = time.process_time(), time.perf_counter()
    for _ in range(requests):
        start = time.perf_counter()
        model.judge(texts)
        times.append((time.perf_counter() - start) * 1000)
    seconds, used = time.perf_counter() - begin, time.process_time() - cpu
    times.sort()
    return Line(
        what="engine alone",
        texts_per_request=len(texts),
        connections=0,
        requests=requests,
        texts_per_second=requests * len(texts) / seconds,
        median_ms=times[requests // 2],
        worst_ms=times[-1],
        cpu_ms_per_request=used * 1000 / requests,
    )


async def module(endpoint: str, texts: int) -> Line:
    """The sentiment module between a hub that keeps what is sent and the stand-in; every text is synced to disk."""
    client, stop = FakeHubClient({"endpoint": endpoint}), asyncio.Event()
    left, times = iter(range(texts)), list[float]()

    async def caller() -> None:
        for number in left:
            start = time.perf_counter()
            body = json.dumps({"text": TEXTS[number % len(TEXTS)]}).encode()
            await client.deliver("texts", Message(body, {}, {"messageId": str(number)}))
            times.append((time.perf_counter() - start) * 1000)

    with TemporaryDirectory() as folder:
        async with create_app(client, Path(folder)) as app:
            running = asyncio.create_task(app.run(stop))
            await app.ready.wait()
            cpu, start = time.process_time(), time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            await client.until(lambda: len(client.sent) >= texts)
            seconds, used = time.perf_counter() - start, time.process_time() - cpu
            stop.set()
            await running
    times.sort()
    return Line(
        what="module",
        texts_per_request=1,
        connections=CALLERS,
        requests=texts,
        texts_per_second=texts / seconds,
        median_ms=times[texts // 2],
        worst_ms=times[-1],
        cpu_ms_per_request=used * 1000 / texts,
    )


async def run(requests: int, connections: list[int]) -> list[Line]:
    lines = [engine(requests)]
    process, port = await started()
    endpoint, by_name = f"http://{HOST}:{port}", {version.name: version for version in VERSIONS}
    try:
        for count in connections:
            for name in ("v2.0", "v3.1", "2023-04-01"):
                lines.append(await measured(process.pid, endpoint, by_name[name], 10, requests, count))
        lines.append(await measured(process.pid, endpoint, by_name["v2.0"], 1000, max(requests // 50, 5), 1))
        lines.append(await module(endpoint, requests * 10))
    finally:
        process.terminate()
        await process.wait()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Texts a second of the sentiment stand-in.")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 4])
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # warnings and worse
    lines = asyncio.run(run(arguments.requests, arguments.connections))
    print(
        "| | texts | connections | texts/s | median ms | worst ms | CPU ms a request |\n|---|---|---|---|---|---|---|"
    )
    for line in lines:
        print(
            f"| {line.what} | {line.texts_per_request} | {line.connections or ''} | {line.texts_per_second:,.0f} | "
            f"{line.median_ms:.1f} | {line.worst_ms:.1f} | {line.cpu_ms_per_request:.1f} |"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(line) for line in lines], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
