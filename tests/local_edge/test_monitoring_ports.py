"""Two modules on one address never show their metrics on one port."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iot_core.clock import SystemClock
from local_edge.engines.base import LaunchSpec
from local_edge.engines.images import ImageTable
from local_edge.engines.monitoring_ports import FIRST, MonitoringPorts
from local_edge.engines.process import ProcessEngine
from transport.loopback import free_loopback_address

SERVES = """
import http.server, os
address = os.environ["MONITORING_HOST"], int(os.environ["MONITORING_PORT"])
server = http.server.HTTPServer(address, http.server.BaseHTTPRequestHandler)
print("serving", address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def host() -> str:
    return free_loopback_address((FIRST, FIRST + 1))


@pytest.fixture
async def engine(tmp_path: Path, host: str) -> AsyncIterator[ProcessEngine]:
    table = ImageTable(commands={"serves": (sys.executable, "-c", SERVES)})
    made = ProcessEngine(table, home=tmp_path, host=host, clock=SystemClock())
    yield made
    await made.close()


async def port_of(engine: ProcessEngine, name: str) -> int:
    while not (log := await engine.logs(name)).endswith("\n"):
        assert engine.pid(name) is not None, log
    return int(log.split()[-1])


async def test_modules_of_one_host_serve_their_metrics_side_by_side(engine: ProcessEngine) -> None:
    for name in ("a", "b"):
        await engine.start(LaunchSpec(name=name, image="serves"))
    assert {await port_of(engine, name) for name in ("a", "b")} == {FIRST, FIRST + 1}


async def test_what_the_deployment_says_wins(engine: ProcessEngine) -> None:
    await engine.start(LaunchSpec(name="bound", image="serves", ports={"9600/tcp": FIRST + 1}))
    await engine.start(LaunchSpec(name="told", image="serves", environment={"MONITORING_PORT": "9777"}))
    assert (await port_of(engine, "bound"), await port_of(engine, "told")) == (FIRST + 1, 9777)


def test_a_module_keeps_its_port_over_a_restart_and_passes_what_is_taken(host: str) -> None:
    ports = MonitoringPorts(host)
    with socket.create_server((host, FIRST)):
        first = ports.environment("a", {})
    assert first == {"MONITORING_HOST": host, "MONITORING_PORT": str(FIRST + 1)}
    assert ports.environment("b", {})["MONITORING_PORT"] == str(FIRST)
    assert ports.environment("a", {}) == first
