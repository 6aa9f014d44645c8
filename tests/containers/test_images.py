"""The images of the modules: built by a real engine from the committed Dockerfiles, and run as on a device.

They share the host's network, so that an engine without bridges will do; one runs at a time.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

PROJECT = Path(__file__).resolve().parents[2]
MODULES = ("aggregator", "replay", "scorer", "sentiment", "sentiment_container", "trigger")
PLATFORM = "arm64v8" if platform.machine() in ("aarch64", "arm64") else "amd64"
READY_S, STOP_S = 60.0, 5.0
LICENCE = {"Eula": "accept", "Billing": "https://westeurope.api.cognitive.microsoft.com/", "ApiKey": "k" * 32}

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def image() -> Callable[[str], str]:
    """Builds the image of a module once; its tag."""
    built: dict[str, str] = {}

    def build(module: str) -> str:
        if module not in built:
            tag = f"edgeyard-test/{module}:1"
            command = f"docker build --network host -f modules/{module}/Dockerfile.{PLATFORM} -t {tag} ."
            done = subprocess.run(shlex.split(command), cwd=PROJECT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            built[module] = tag
        return built[module]

    return build


@pytest.fixture
def start(engine: docker.DockerClient, image: Callable[[str], str]) -> Iterator[Callable[..., Container]]:
    """Starts a module alone and returns when its own health check says that it is ready."""
    running: list[Container] = []

    def run(module: str, *, alone: bool = True, **environment: str) -> Container:
        container: Container = engine.containers.run(
            image(module),
            detach=True,
            network_mode="host",
            stdin_open=True,
            environment={**({"EDGEYARD_STANDALONE": "1"} if alone else {}), **environment},
            read_only=False,
        )
        running.append(container)
        _wait_until_healthy(container)
        return container

    yield run
    for container in running:
        container.remove(force=True, v=True)


def _wait_until_healthy(container: Container) -> None:
    """What the engine's HEALTHCHECK would run, without waiting for its interval."""
    check = container.image.attrs["Config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    deadline = time.monotonic() + READY_S
    while True:
        container.reload()
        assert container.status in ("created", "running"), container.logs().decode()
        if container.status == "running" and container.exec_run(check[1:]).exit_code == 0:
            return
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.2)


def _post(url: str, document: Any) -> Any:
    body = json.dumps(document).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_becomes_ready_without_root_and_stops_in_time(module: str, start: Callable[..., Container]) -> None:
    container = start(module, alone=module != "sentiment_container", **(LICENCE if "container" in module else {}))
    code, user = container.exec_run(["python", "-c", "import os; print(os.getuid())"])
    assert (code, user.strip()) == (0, b"10001")
    begun = time.monotonic()
    container.stop(timeout=10)
    assert time.monotonic() - begun < STOP_S + 1
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0, container.logs().decode()


def test_the_scorer_scores(start: Callable[..., Container]) -> None:
    start("scorer")
    answer = _post("http://127.0.0.1:5001/score/emotion", {"data": [[[[128.0] * 64] * 64]]})
    assert len(answer["result"]) == 8
    assert sum(answer["result"]) == pytest.approx(1, abs=1e-3)


def test_the_sentiment_container_judges(start: Callable[..., Container]) -> None:
    start("sentiment_container", alone=False, **LICENCE)
    documents = {"documents": [{"id": "1", "language": "en", "text": "What a wonderful day!"}]}
    answer = _post("http://127.0.0.1:5000/text/analytics/v3.1/sentiment", documents)
    assert answer["documents"][0]["sentiment"] == "positive"


def test_the_sentiment_container_does_not_start_without_its_licence(
    engine: docker.DockerClient, image: Callable[[str], str]
) -> None:
    container = engine.containers.run(image("sentiment_container"), detach=True, network_mode="host")
    try:
        assert container.wait(timeout=30)["StatusCode"] != 0
        assert b"Eula" in container.logs()
    finally:
        container.remove(force=True)
