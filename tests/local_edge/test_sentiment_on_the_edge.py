"""The sentiment module as it is deployed: the real SDK client on a real edge and hub, and the stand-in container."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub_tools.rest import RestHubService
from iot_core.identity import Identity
from local_edge import EdgeConfig, ImageTable, LocalEdge
from transport.loopback import free_loopback_address

SAYING = Path(__file__).with_name("saying_module.py")
CONTAINER = "127.91.7.3"
LICENCE = ("Eula=accept", "Billing=https://westus.example/", "ApiKey=local")
ROUTES = {
    "texts": 'FROM /messages/modules/saying/outputs/texts INTO BrokeredEndpoint("/modules/sentiment/inputs/texts")',
    "scored": "FROM /messages/modules/sentiment/outputs/scored WHERE sentiment = 'negative' INTO $upstream",
}
TEXTS = 20


@contextmanager
def container(port: int) -> Iterator[None]:
    """The stand-in, once it answers."""
    command = [sys.executable, "-m", "modules.sentiment_container", *LICENCE]
    where = ["--host", CONTAINER, "--port", str(port), "--metrics-port", "0"]
    with subprocess.Popen([*command, *where], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"listening" in process.stderr.readline()
        yield
        process.terminate()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((CONTAINER, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def config(config: EdgeConfig) -> EdgeConfig:
    images = {
        **config.images.commands,
        "test/saying": ("{python}", str(SAYING)),
        "edgeyard/sentiment": ("{python}", "-m", "modules.sentiment"),
    }
    host = free_loopback_address((8883, 443, 8443, 9601, 9602))
    return replace(config, host=host, images=ImageTable(commands=images, project=config.images.project))


async def test_texts_that_wait_survive_a_kill_and_are_scored_when_the_container_comes(
    edge: LocalEdge,
    config: EdgeConfig,
    service: RestHubService,
    device_id: str,
    deployment: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    telemetry: Any,
    module_pid: Callable[[str], int | None],
    port: int,
    wait: Callable[..., Awaitable[Any]],
    runs: Callable[..., Awaitable[bool]],
) -> None:
    modules = {
        "saying": {"settings": {"image": "test/saying:1"}},
        "sentiment": {"settings": {"image": "edgeyard/sentiment:1"}},
    }
    content = deployment(modules, ROUTES)
    desired = {"endpoint": f"http://{CONTAINER}:{port}", "reportingInterval": 0.5, "breakerPause": 0.2}
    content["modulesContent"]["sentiment"] = {"properties.desired": desired}
    await service.apply_configuration_content(device_id, content)
    await wait(lambda: runs("saying", "sentiment"))

    texts = [f"The worst thing ever, number {number}." for number in range(TEXTS)]
    saying, sentiment = Identity(device_id, "saying"), Identity(device_id, "sentiment")
    await service.invoke_method(saying, "say", {"texts": texts}, connect_timeout_s=20)

    async def all_wait() -> bool:
        reported = (await service.get_twin(sentiment))["properties"]["reported"]
        return bool(reported.get("queued") == TEXTS)

    await wait(all_wait)
    pid = module_pid("sentiment")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with container(port):
        await wait(lambda: len(telemetry.bodies("sentiment")) >= TEXTS)
    scored = telemetry.bodies("sentiment")
    assert {body["text"] for body in scored} == set(texts)
    assert all(body["sentiment"] == "negative" and body["confidence"] > 0.5 for body in scored)
