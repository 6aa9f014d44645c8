"""A hub of one's own for each test module: a process on a free loopback address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.support import HUB_PORTS, Process, RunningHub
from transport.loopback import free_loopback_address


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    home = tmp_path_factory.mktemp("home")
    host = free_loopback_address(HUB_PORTS)
    process = Process(home, "hub", "run", "--host", host, until="hub ready")
    try:
        yield RunningHub(home, host)
    finally:
        assert process.stop() == 0
