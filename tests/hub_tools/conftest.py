"""A hub in a process of its own, and the operators' view of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from local_hub.home import HubHome
from transport.loopback import free_loopback_address

PROJECT = Path(__file__).resolve().parents[2]
START_S = 30.0


@dataclass(frozen=True)
class RunningHub:
    """Where a hub is, and its policies."""

    home: Path
    host: str

    @property
    def files(self) -> HubHome:
        return HubHome(self.home)

    @property
    def owner(self) -> ConnectionString:
        return ConnectionString.parse(self.files.owner_connection_string.read_text().strip())

    def service(self, connection: ConnectionString | None = None) -> RestHubService:
        return RestHubService(connection or self.owner, ca_file=self.files.authority)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """`python -m local_hub` on an address of its own."""
    with running_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@contextmanager
def running_hub(home: Path, *options: str) -> Iterator[RunningHub]:
    """A hub process with more options."""
    host = free_loopback_address((8883, 443, 8443))
    log = home / "hub.log"
    command = [sys.executable, "-m", "local_hub", "--home", str(home), "--host", host, *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + START_S
    while b"hub ready" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    try:
        yield RunningHub(home, host)
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture
async def service(hub: RunningHub) -> AsyncIterator[RestHubService]:
    async with hub.service() as service:
        yield service
