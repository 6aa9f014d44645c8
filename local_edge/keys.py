"""The module keys that the edge made itself, with what the registry said about each identity.

File `identities.json`, mode 0600:
{"version": 1, "master": base64, "modules": {name: {"key": base64, "generation_id": text}}}.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from iot_core.identity import generate_key
from local_edge.errors import EdgeSettingsError
from transport.private_files import write_private

__all__ = ["KeyStore", "ModuleKey"]

FORMAT_VERSION = 1
_MASTER_KEY_BYTES = 64
"""AES-SIV with 256-bit security takes two keys of 32 bytes."""


@dataclass(frozen=True, kw_only=True)
class ModuleKey:
    """The symmetric key (base64) and generation of one module identity."""

    key: str = field(repr=False)
    generation_id: str


class KeyStore:
    """Keys by module name, written through to the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        document = _load(path)
        self._master: str = document.get("master") or base64.b64encode(os.urandom(_MASTER_KEY_BYTES)).decode()
        self._modules = {name: _module_key(entry) for name, entry in document.get("modules", {}).items()}

    @property
    def master(self) -> bytes:
        """The device-wide secret behind the workload API's encrypt and decrypt."""
        return base64.b64decode(self._master)

    @property
    def modules(self) -> dict[str, ModuleKey]:
        return dict(self._modules)

    def get(self, module: str) -> ModuleKey | None:
        return self._modules.get(module)

    def key_for(self, module: str) -> str:
        """The kept key of `module`, or a new one that is not kept yet."""
        known = self._modules.get(module)
        return known.key if known else generate_key()

    def put(self, module: str, entry: ModuleKey) -> None:
        if self._modules.get(module) != entry:
            self._modules[module] = entry
            self._save()

    def remove(self, module: str) -> None:
        if self._modules.pop(module, None) is not None:
            self._save()

    def _save(self) -> None:
        modules = {name: asdict(entry) for name, entry in self._modules.items()}
        document = {"version": FORMAT_VERSION, "master": self._master, "modules": modules}
        write_private(self._path, json.dumps(document, indent=1).encode())


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = document["version"]
    except (ValueError, KeyError, TypeError):
        raise EdgeSettingsError(f"{path} is damaged; move it away and the edge makes new keys") from None
    if version != FORMAT_VERSION:
        raise EdgeSettingsError(f"{path} has format {version}, this program knows {FORMAT_VERSION}; update edgeyard")
    return document


def _module_key(entry: dict[str, str]) -> ModuleKey:
    return ModuleKey(key=entry["key"], generation_id=entry["generation_id"])
