"""Ports for the health and metrics of modules that share one address.

In containers every module has port 9600 to itself. Processes share the edge's address, so each is told its own port by
MONITORING_PORT: the host port bound to 9600/tcp, else the first free one from FIRST on.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from local_edge.errors import EngineError

__all__ = ["MonitoringPorts"]

CONTAINER_PORT = "9600/tcp"
"""Where the modules of an IoT Edge device show metrics ("Collect and transport metrics")."""
FIRST = 9601
"""9600 itself is left to the module whose createOptions bind it."""
TRIED = 1_000
"""More than an edge has modules."""


class MonitoringPorts:
    """Gives out ports on `host`; a module that is started again keeps its own where it is still free."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._given: dict[str, int] = {}

    def environment(self, module: str, bound: Mapping[str, int]) -> dict[str, str]:
        """MONITORING_HOST and MONITORING_PORT of a module with these port bindings; EngineError when none is free."""
        port = bound.get(CONTAINER_PORT) or self._free(module)
        self._given[module] = port
        return {"MONITORING_HOST": self._host, "MONITORING_PORT": str(port)}

    def _free(self, module: str) -> int:
        others = {port for name, port in self._given.items() if name != module}
        candidates = list(range(FIRST, FIRST + TRIED))
        if module in self._given:
            candidates.insert(0, self._given[module])
        for port in candidates:
            if port not in others and _can_bind(self._host, port):
                return port
        raise EngineError(f"module {module}: no port from {FIRST} on is free on {self._host} for its metrics")


def _can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a port on which a connection of the past still lingers is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
