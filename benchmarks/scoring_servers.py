"""The servers that benchmarks.scoring compares: how each is started, and what a request to it looks like."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PEERS = Path(__file__).parent / "peers"
PROJECT = Path(__file__).resolve().parents[1]
START_S = 60.0
PACKAGES = {
    "azureml": "azureml-inference-server-http==1.5.1",
    "litserve": "litserve==0.2.19",
    "bentoml": "bentoml==1.4.40",
    "mlserver": "mlserver==1.7.1",
}
BESIDE = ("onnxruntime", "numpy", "orjson")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, what is sent to it, and over how many connections."""

    name: str
    model: Path
    tensor: np.ndarray
    connections: int


@dataclass(frozen=True, kw_only=True)
class Server:
    """`command` starts it on a host and port with a folder for its files; `request` makes the path, type and body."""

    name: str
    command: Callable[[str, int, Path, Case], Sequence[str]]
    request: Callable[[Case], tuple[str, dict[str, str], bytes]]


def data_body(case: Case) -> bytes:
    """{"data": …} as a JSON encoder for float64 writes it: about 3 MB for a picture."""
    return json.dumps({"data": case.tensor.astype(np.float64).tolist()}).encode()


def _json_at(path: str) -> Callable[[Case], tuple[str, dict[str, str], bytes]]:
    return lambda case: (path, {"Content-Type": "application/json"}, data_body(case))


def _raw(case: Case) -> tuple[str, dict[str, str], bytes]:
    shape = ",".join(map(str, case.tensor.shape))
    headers = {"Content-Type": "application/octet-stream", "X-Tensor-Shape": shape}
    return "/score/model", headers, case.tensor.astype("<f4").tobytes()


def _v2(case: Case) -> tuple[str, dict[str, str], bytes]:
    tensor = {
        "name": "data",
        "shape": list(case.tensor.shape),
        "datatype": "FP32",
        "data": case.tensor.astype(np.float64).ravel().tolist(),
    }
    return "/v2/models/scorer/infer", {"Content-Type": "application/json"}, json.dumps({"inputs": [tensor]}).encode()


def _scorer(host: str, port: int, folder: Path, case: Case) -> Sequence[str]:
    twin = folder / "twin.json"
    twin.write_text(json.dumps({"models": {"model": {"source": str(case.model), "task": "raw"}}}))
    own = ("--host", host, "--port", str(port), "--metrics-host", host, "--metrics-port", "0")
    return (sys.executable, "-m", "modules.scorer", "--standalone", "--twin", str(twin), *own)


def on_provider(provider: str) -> Server:
    """The scorer on one execution provider of onnxruntime, with the raw body."""

    def command(host: str, port: int, folder: Path, case: Case) -> Sequence[str]:
        return (*_scorer(host, port, folder, case), "--providers", provider)

    return Server(name=provider, command=command, request=_raw)


def _azureml(home: Path) -> Callable[[str, int, Path, Case], Sequence[str]]:
    script = str(PEERS / "azureml_score.py")
    return lambda host, port, folder, case: (
        str(home / "azureml/bin/azmlinfsrv"),
        "--entry_script",
        script,
        "--port",
        str(port),
    )


def _litserve(home: Path) -> Callable[[str, int, Path, Case], Sequence[str]]:
    script = str(PEERS / "litserve_server.py")
    return lambda host, port, folder, case: (str(home / "litserve/bin/python"), script, host, str(port))


def _bentoml(home: Path) -> Callable[[str, int, Path, Case], Sequence[str]]:
    return lambda host, port, folder, case: (
        str(home / "bentoml/bin/bentoml"),
        "serve",
        "bentoml_service:Scorer",
        "--working-dir",
        str(PEERS),
        "--host",
        host,
        "--port",
        str(port),
    )


def _mlserver(home: Path) -> Callable[[str, int, Path, Case], Sequence[str]]:
    def command(host: str, port: int, folder: Path, case: Case) -> Sequence[str]:
        settings = {
            "host": host,
            "http_port": port,
            "grpc_port": free_port(host),
            "metrics_port": free_port(host),
            "parallel_workers": 0,
            "debug": False,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        model = {"name": "scorer", "implementation": "mlserver_model.Scorer"}
        (folder / "model-settings.json").write_text(json.dumps(model))
        shutil.copy(PEERS / "mlserver_model.py", folder)
        return (str(home / "mlserver/bin/mlserver"), "start", str(folder))

    return command


def servers(home: Path | None) -> list[Server]:
    """Ours with JSON and with the raw body; with `home`, the folder of their environments, the peers too."""
    ours = [
        Server(name="edgeyard", command=_scorer, request=_json_at("/score/model")),
        Server(name="edgeyard, raw body", command=_scorer, request=_raw),
    ]
    if home is None:
        return ours
    return [
        *ours,
        Server(name="azureml", command=_azureml(home), request=_json_at("/score")),
        Server(name="litserve", command=_litserve(home), request=_json_at("/predict")),
        Server(name="bentoml", command=_bentoml(home), request=_json_at("/score")),
        Server(name="mlserver", command=_mlserver(home), request=_v2),
    ]


def make_environments(home: Path) -> None:
    """A virtual environment for each peer that has none yet; needs uv and a package index."""
    for name, package in PACKAGES.items():
        python = home / name / "bin/python"
        if not python.exists():
            print(f"making the environment of {name}", file=sys.stderr)
            subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", str(home / name)], check=True)
            install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
            subprocess.run([*install, package, *BESIDE], check=True)


def free_port(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(server: Server, case: Case, host: str) -> Iterator[tuple[int, int]]:
    """The server's process id and port, once a request gets its answer."""
    port = free_port(host)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        quiet = {"BENTOML_DO_NOT_TRACK": "True", "ORT_DISABLE_TELEMETRY": "1"}
        variables = {**os.environ, **quiet, "MODEL": str(case.model)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                server.command(host, port, folder, case),
                cwd=PROJECT,
                env=variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(server, case, host, port, process, folder / "log")
            yield process.pid, port
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and every process that it started."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _wait(server: Server, case: Case, host: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    path, headers, body = server.request(case)
    deadline = time.monotonic() + START_S
    while True:
        try:
            request = urllib.request.Request(f"http://{host}:{port}{path}", data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=10):
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{server.name} does not answer: {error}\n{log.read_text()[-2000:]}") from None
            time.sleep(0.2)
