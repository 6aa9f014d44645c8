"""What a local hub is told when it starts."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from local_hub.c2d.options import C2dOptions
from local_hub.configurations.cadence import Cadence
from local_hub.eventhub.retention import RetentionOptions
from local_hub.files.options import FileUploadOptions

__all__ = ["HubConfig"]

_EVERYWHERE = ("0.0.0.0", "::", "127.0.0.1")
"""Addresses that clients on this machine reach as localhost, the one host name that suits every SDK."""


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """Where the hub keeps its data, where it listens and how it behaves.

    ``http_port`` None means 443 where the process may listen there, else 8443; ``admin_port`` 0 means any free port.
    ``eventhub_plain_port`` serves AMQP without TLS too, as clients of the Event Hubs emulator want it.
    """

    home: Path
    host: str = "127.0.0.1"
    mqtt_port: int = 8883
    amqp_port: int = 5671
    eventhub_plain_port: int | None = None
    http_port: int | None = None
    admin_port: int = 0
    durability: Literal["full", "normal"] = "full"
    hub_name: str = "local"
    tier: str = "S3"
    """A name in ``iot_core.limits.TIERS``."""
    units: int = 1
    throttle: bool = False
    """Whether the rates, the daily quota and the limits on jobs of the tier and its units hold."""
    query_lag_s: float = 0.0
    """How late queries see changes of twins, by the hub's clock."""
    seed: Path | None = None
    """A file of what the hub has to hold when it starts; see ``local_hub.controls.seed``."""
    cadence: Cadence = field(default_factory=Cadence)
    cloud_to_device: C2dOptions = field(default_factory=C2dOptions)
    partitions: int | None = None
    """Of the built-in endpoint. They are fixed when a hub is made: None takes what it has, 4 for a new one."""
    retention: RetentionOptions = field(default_factory=RetentionOptions)
    file_upload: FileUploadOptions = field(default_factory=FileUploadOptions)

    @property
    def client_host(self) -> str:
        """The host that device connection strings name."""
        return "localhost" if self.host in _EVERYWHERE else self.host

    @property
    def host_names(self) -> tuple[str, ...]:
        """Names and addresses that clients may reach the hub by; in its certificate and accepted in tokens."""
        return tuple(dict.fromkeys(("localhost", "127.0.0.1", self.host, socket.gethostname())))
