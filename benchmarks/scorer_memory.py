"""Whether the scorer's memory stays flat: its resident set while it answers many requests.

    python -m benchmarks.scorer_memory [--requests N] [--connections N]

Nine of ten requests are a face in JSON for the emotion model, one of a hundred is a bad body, the others a raw tensor
of 1 x 3 x 224 x 224 and a photograph. A tenth of the requests warms up; from then on the growth counts.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import numpy as np

from modules.scorer.samples import sample_paths

RESULTS = Path(__file__).parent / "results" / "scorer_memory.json"
HOST = "127.91.3.8"
STEPS = 10
RAW = {"Content-Type": "application/octet-stream", "X-Tensor-Shape": "1,3,224,224"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What was measured; sizes in KiB."""

    requests: int
    connections: int
    resident: list[int]
    growth_after_warm_up: int


def bodies() -> list[tuple[str, dict[str, str], bytes, int]]:
    """A hundred requests: path, headers, body and the status of the answer."""
    rng = np.random.default_rng(20260101)
    face = json.dumps({"data": rng.integers(0, 256, size=(1, 1, 64, 64)).tolist()}).encode()
    raw = rng.normal(size=(1, 3, 224, 224)).astype("<f4").tobytes()
    photograph = sample_paths()["cat"].read_bytes()
    kinds = [("/score/emotion", JSON, face, 200)] * 90 + [("/score", RAW, raw, 200)] * 7
    kinds += [("/score", {"Content-Type": "image/jpeg"}, photograph, 200)] * 2 + [
        ("/score", JSON, b'{"data": [1]}', 400)
    ]
    return [kinds[int(position)] for position in rng.permutation(len(kinds))]


async def started(data: str) -> tuple[Process, int]:
    command = (sys.executable, "-m", "modules.scorer", "--standalone", "--data", data, "--host", HOST, "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *command, "--metrics-host", HOST, "--metrics-port", "0", stdin=PIPE, stderr=PIPE
    )
    assert process.stderr is not None
    return process, int(json.loads(await process.stderr.readline())["port"])


async def post_many(session: aiohttp.ClientSession, count: int, connections: int) -> None:
    left, mix = iter(range(count)), bodies()

    async def connection() -> None:
        for number in left:
            path, headers, body, status = mix[number % len(mix)]
            async with session.post(path, data=io.BytesIO(body), headers=headers) as response:
                await response.read()
                assert response.status == status, response.status

    await asyncio.gather(*(connection() for _ in range(connections)))


def resident_kib(pid: int) -> int:
    """VmRSS of a process (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def measure(requests: int, connections: int) -> Memory:
    with tempfile.TemporaryDirectory() as data:
        process, port = await started(data)
        resident = [resident_kib(process.pid)]
        try:
            connector = aiohttp.TCPConnector(limit=connections)
            async with aiohttp.ClientSession(f"http://{HOST}:{port}", connector=connector) as session:
                for _ in range(STEPS):
                    await post_many(session, requests // STEPS, connections)
                    resident.append(resident_kib(process.pid))
                    print(f"{requests // STEPS * (len(resident) - 1):>9} requests {resident[-1]:>9} KiB", flush=True)
        finally:
            process.terminate()
            await process.wait()
    growth = resident[-1] - resident[1]
    return Memory(requests=requests, connections=connections, resident=resident, growth_after_warm_up=growth)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the scorer's memory.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments.requests, arguments.connections))
    print(f"growth after the first tenth: {found.growth_after_warm_up} KiB")
    RESULTS.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
