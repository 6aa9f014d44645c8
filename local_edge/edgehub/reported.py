"""The reported properties of `$edgeHub`: its version, what became of its desired properties, and who is connected.

Shape: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins" (edgeHub reported).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iot_core.clock import iso
from local_edge.agent.report import RUNTIME_VERSION, DesiredStatus

__all__ = ["ClientTimes", "HubState", "hub_reported"]


@dataclass(kw_only=True)
class ClientTimes:
    """When a client was last seen to come and to go, in unix seconds; 0: never."""

    connected: bool = False
    connected_at: float = 0.0
    disconnected_at: float = 0.0


@dataclass(kw_only=True)
class HubState:
    """What the report shows; `clients` by "device/module"."""

    status: DesiredStatus = field(default_factory=DesiredStatus)
    clients: dict[str, ClientTimes] = field(default_factory=dict)

    def saw(self, client: str, connected: bool, now: float) -> None:
        """A client connected or disconnected."""
        times = self.clients.setdefault(client, ClientTimes())
        if times.connected == connected:
            return
        times.connected = connected
        if connected:
            times.connected_at = now
        else:
            times.disconnected_at = now


def hub_reported(state: HubState) -> dict[str, Any]:
    """The whole reported section."""
    return {
        "schemaVersion": "1.0",
        "version": {"version": RUNTIME_VERSION, "build": "edgeyard", "commit": ""},
        "lastDesiredVersion": state.status.version,
        "lastDesiredStatus": {"code": state.status.code, "description": state.status.description},
        "clients": {client: _client(times) for client, times in state.clients.items()},
    }


def _client(times: ClientTimes) -> dict[str, str]:
    entry = {"status": "Connected" if times.connected else "Disconnected"}
    if times.connected_at:
        entry["lastConnectedTimeUtc"] = iso(times.connected_at)
    if times.disconnected_at:
        entry["lastDisconnectedTimeUtc"] = iso(times.disconnected_at)
    return entry
