"""What an edge is told: its credential, its address, its home and its engine table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from iot_core.connection_string import ConnectionString
from iot_core.identity import Identity
from local_edge.agent.restart import RestartRules
from local_edge.engines.images import ImageTable
from local_edge.errors import EdgeSettingsError
from transport.store import Durability

__all__ = ["DEFAULT_HOST", "METHOD_PORTS", "MQTT_PORT", "EdgeConfig", "EdgeHome"]

DEFAULT_HOST = "127.0.0.2"
MQTT_PORT = 8883
"""The one port that the Azure SDKs use for MQTT."""
METHOD_PORTS = (443, 8443)
"""HTTPS for method calls between modules: the port the SDKs use, then the one that needs no rights."""


@dataclass(frozen=True, kw_only=True)
class EdgeHome:
    """The files of one edge device; the folder is private to its owner."""

    path: Path

    @property
    def identities(self) -> Path:
        return self.path / "identities.json"

    @property
    def running(self) -> Path:
        return self.path / "running.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def database(self) -> Path:
        return self.path / "edgehub.db"

    @property
    def authority(self) -> tuple[Path, Path]:
        """Certificate and key of the edge's own certificate authority."""
        return self.path / "ca.pem", self.path / "ca.key"

    @property
    def server(self) -> tuple[Path, Path]:
        """Certificate chain and key of the edge hub."""
        return self.path / "server.pem", self.path / "server.key"

    @property
    def deployment(self) -> Path:
        return self.path / "deployment.json"


@dataclass(frozen=True, kw_only=True)
class EdgeConfig:
    """Configuration of one edge device.

    `connection_string` is the edge device's; a port in its HostName is used for HTTPS only. `host` is the address to
    listen on and the gateway host name that modules get. `durability` is the store's ("full" or "normal").
    """

    connection_string: str = field(repr=False)
    home: Path
    host: str = DEFAULT_HOST
    ca_file: Path | None = None
    images: ImageTable = field(default_factory=ImageTable)
    restart_rules: RestartRules = field(default_factory=RestartRules)
    durability: Durability = "full"
    mqtt_port: int = MQTT_PORT
    method_port: int | None = None
    upstream_mqtt_port: int = MQTT_PORT

    def __post_init__(self) -> None:
        parsed = self.credential
        if not parsed.device_id or not parsed.shared_access_key:
            raise EdgeSettingsError("the edge needs a device's connection string with DeviceId and SharedAccessKey")
        if parsed.module_id:
            raise EdgeSettingsError("this is a module's connection string; the edge needs that of the edge device")

    @property
    def credential(self) -> ConnectionString:
        return ConnectionString.parse(self.connection_string)

    @property
    def device_id(self) -> str:
        return self.credential.device_id or ""

    @property
    def device_key(self) -> str:
        return self.credential.shared_access_key or ""

    @property
    def hub_host(self) -> str:
        """The hub's name without a port: what tokens, user names and IOTEDGE_IOTHUBHOSTNAME carry."""
        return self.credential.host_name.partition(":")[0]

    @property
    def hub_https_authority(self) -> str:
        """The hub's name with the port of the connection string, if it has one."""
        return self.credential.host_name

    @property
    def files(self) -> EdgeHome:
        return EdgeHome(path=self.home)

    def identity(self, module: str | None = None) -> Identity:
        return Identity(self.device_id, module)
