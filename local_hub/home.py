"""The hub's files in a data folder: ``<home>/hub/``, folder 0700, files 0600."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iot_core.errors import InputError
from transport.certificates import write_private

__all__ = ["FolderLock", "HubHome", "HubRunningError", "write_json"]


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
        self.owner_connection_string = self.folder / "iothubowner.connection"
        self.eventhub_connection_string = self.folder / "eventhub.connection"
        self.provisioning = self.folder / "provisioning.json"
        self.routing = self.folder / "routing.json"
        self.blobs = self.folder / "blobs"
        self.storage_connection_string = self.folder / "storage.connection"
        self.lock = self.folder / "lock"

    def create(self) -> None:
        """Make the folder, for its owner alone; InputError when that cannot be."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        except OSError as error:
            raise InputError(f"the hub's data folder {self.folder} cannot be made: {error.strerror}") from error


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace ``path`` atomically by a JSON object, readable by the owner only."""
    write_private(path, json.dumps(document, indent=2).encode("ascii") + b"\n")


class FolderLock:
    """One hub per data folder: an advisory lock that the system drops when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; HubRunningError, naming the other process, when it is held."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise HubRunningError(
                f"a hub already runs on {self._path.parent.parent} (process {holder}): stop it, or give another --home"
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, so that two hubs can never lock two different files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
