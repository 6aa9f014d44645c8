"""How many requests a second the scorer answers over HTTP, beside other model servers, and what one costs.

    python -m benchmarks.scoring [--peers FOLDER] [--seconds S] [--rounds N] [--compare cpu,cuda]

All servers have the same models: a picture classifier (1 x 3 x 224 x 224, JSON of about 3 MB) and a tiny one (1 x 4).
They run one at a time, in turn, each in a process of its own; the load comes from another process on the same machine.
FOLDER holds a virtual environment for each peer, made when it is not there. The processor time is that of the server's
whole process tree. With --compare the scorer runs on each of the given execution providers instead, with the raw body.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.scoring_servers import PROJECT, Case, Server, make_environments, on_provider, running, servers
from iot_core.errors import InputError
from modules.common.inference import choose_providers, open_session
from modules.scorer.models import MODELS_FOLDER as MODELS

RESULTS = Path(__file__).parent / "results" / "scoring.json"
HOST = "127.0.0.1"  # the only one that every peer listens on
SEED = 20260101
WARM_UP_S = 1.0
TICKS_PER_SECOND = 100  # USER_HZ, fixed in the kernel's interface to programs
BASELINE = "azureml"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table: medians over the rounds; `ratio` is to azureml, or to the first server without it."""

    case: str
    server: str
    connections: int
    requests_per_second: float
    cpu_ms_per_request: float
    ratio: float


def cases(folder: Path) -> list[Case]:
    random = np.random.default_rng(SEED)
    picture = random.normal(size=(1, 3, 224, 224)).astype(np.float32)
    return [
        Case(name="picture", model=MODELS / "classifier.onnx", tensor=picture, connections=8),
        Case(
            name="tiny", model=tiny_model(folder), tensor=random.normal(size=(1, 4)).astype(np.float32), connections=32
        ),
    ]


def tiny_model(folder: Path) -> Path:
    """Four numbers in, three out."""
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(SEED).normal(size=(4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["data", "weights"], ["out"])],
        "tiny",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "tiny.onnx")
    return folder / "tiny.onnx"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text(encoding="ascii").split()
    ]
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND + sum(map(cpu_seconds, children))


def load(host: str, port: int, request: Path, connections: int, seconds: float) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.http_load",
        host,
        str(port),
        str(request),
        str(connections),
        str(seconds),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout)
    if result["failed"]:
        raise SystemExit(f"{result['failed']} of {result['requests']} answers were errors: {result['answer']}")
    return result


def measure(server: Server, case: Case, seconds: float, folder: Path) -> tuple[float, float]:
    """Requests a second, and milliseconds of processor time a request."""
    path, headers, body = server.request(case)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = folder / "request"
    request.write_bytes(
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body
    )
    with running(server, case, HOST) as (pid, port):
        load(HOST, port, request, case.connections, WARM_UP_S)
        before = cpu_seconds(pid)
        result = load(HOST, port, request, case.connections, seconds)
        used = cpu_seconds(pid) - before
    return result["requests"] / result["seconds"], 1000 * used / result["requests"]


def model_ms(case: Case) -> float:
    """Milliseconds of one inference on one thread, with nothing around it: the best of three medians."""
    session = open_session(case.model.read_bytes(), case.model)
    name = session.get_inputs()[0].name
    medians = []
    for _ in range(3):
        times = []
        for _ in range(60):
            start = time.process_time()
            session.run(None, {name: case.tensor})
            times.append(time.process_time() - start)
        medians.append(statistics.median(times))
    return 1000 * min(medians)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the scorer over HTTP, beside its peers.")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=("picture", "tiny"))
    parser.add_argument("--compare", type=lambda text: text.split(","), help="execution providers: cpu,cuda")
    arguments = parser.parse_args()
    if arguments.compare:
        _check(arguments.compare, parser)
    if arguments.peers:
        make_environments(arguments.peers.resolve())
    home = arguments.peers.resolve() if arguments.peers else None
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as text:
        for case in cases(Path(text)):
            if arguments.case in (None, case.name):
                alone = model_ms(case)
                compared = [on_provider(name) for name in arguments.compare or ()] or servers(home)
                results += _case(case, compared, arguments.rounds, arguments.seconds, Path(text))
                _print([item for item in results if item.case == case.name], alone)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n", encoding="utf-8")


def _check(providers: list[str], parser: argparse.ArgumentParser) -> None:
    try:
        choose_providers(providers)
    except InputError as error:
        parser.error(str(error))


def _case(case: Case, compared: list[Server], rounds: int, seconds: float, folder: Path) -> list[Result]:
    measured: dict[str, list[tuple[float, float]]] = {server.name: [] for server in compared}
    for number in range(rounds):
        for server in compared:
            print(f"{case.name}, round {number + 1}: {server.name}", file=sys.stderr)
            measured[server.name].append(measure(server, case, seconds, folder))
    first = BASELINE if BASELINE in measured else compared[0].name
    baseline = statistics.median([rate for rate, _ in measured[first]])
    return [
        Result(
            case=case.name,
            server=name,
            connections=case.connections,
            requests_per_second=round(rate := statistics.median([one for one, _ in runs]), 1),
            cpu_ms_per_request=round(statistics.median([cpu for _, cpu in runs]), 2),
            ratio=round(rate / baseline, 2),
        )
        for name, runs in measured.items()
    ]


def _print(results: list[Result], alone: float) -> None:
    print(f"{results[0].case}, {results[0].connections} connections; the model alone takes {alone:.2f} ms")
    print(f"{'server':<22}{'req/s':>10}{'CPU ms/req':>12}{'ratio':>8}")
    for result in results:
        rate, cpu = result.requests_per_second, result.cpu_ms_per_request
        print(f"{result.server:<22}{rate:>10}{cpu:>12}{f'{result.ratio}x':>8}")


if __name__ == "__main__":
    main()
