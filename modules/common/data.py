"""Where a module keeps what must outlive its process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from iot_core.errors import InputError

__all__ = ["data_folder"]

IDENTITY = ("IOTEDGE_DEVICEID", "IOTEDGE_MODULEID", "IOTEDGE_MODULEGENERATIONID")


def data_folder(module: str, named: str | None, environment: Mapping[str, str], *, remedy: str) -> Path:
    """The folder `named`, else one among the temporary files that belongs to this user and module identity alone; made
    if it is not there (0700). InputError, ending with `remedy`, when it cannot be used."""
    folder = Path(named) if named else Path(tempfile.gettempdir()) / _own_name(module, environment)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        foreign = not named and folder.stat().st_uid != os.getuid()
    except OSError as error:
        raise InputError(f"the data folder {folder} cannot be used ({error.strerror}): {remedy}") from None
    if foreign or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the data folder {folder} does not belong to this user: {remedy}")
    return folder


def _own_name(module: str, environment: Mapping[str, str]) -> str:
    identity = "-".join(environment.get(name, "") for name in IDENTITY)
    safe = "".join(character if character.isalnum() or character in "-_" else "_" for character in identity)
    return f"edgeyard-{module}-{os.getuid()}-{safe}"
