"""The hub's files in a data folder: ``<home>/hub/``, folder 0700, files 0600."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["HubHome", "HubRunningError", "write_json"]


OWNER = "iothubowner"
"""The shared access policy that may do everything."""


class HubRunningError(InputError):
    """Another hub works in the same data folder."""


class HubHome:
    """Where each file of the hub lies under ``home``."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "hub"
        self.database = self.folder / "hub.db"
        self.authority = self.folder / "ca.pem"
        self.authority_key = self.folder / "ca.key"
        self.certificate = self.folder / "server.pem"
        self.key = self.folder / "server.key"
        self.bundle = self.folder / "bundle.pem"
        self.config = self.folder / "config.json"
        self.running = self.folder / "running.json"
        self.admin_token = self.folder / "admin.token"
        self.owner_connection_string = self.policy_connection_string(OWNER)
        self.eventhub_connection_string = self.folder / "eventhub.connection"
        self.provisioning = self.folder / "provisioning.json"
        self.routing = self.folder / "routing.json"
        self.blobs = self.folder / "blobs"
        self.storage_connection_string = self.folder / "storage.connection"
        self.lock = self.folder / "lock"

    def policy_connection_string(self, policy: str) -> Path:
        """The file with the connection string of a shared access policy."""
        return self.folder / f"{policy}.connection"

    def create(self) -> None:
        """Make the folder, for its owner alone; InputError when that cannot be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise InputError(f"the hub's data folder {self.folder} cannot be made: {error.strerror}") from error


def write_json(path: Path, document: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace ``path`` atomically by a JSON object, readable by the owner only; see ``write_private``."""
    write_private(path, json.dumps(document, indent=2).encode("ascii") + b"\n", durable=durable)
