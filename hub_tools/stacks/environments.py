"""Environments of a stack: the same program for development and production, each with its hub, settings and secrets.

# environments.toml, beside the program
[dev]
settings = { building = "B1" }

[prod]
hub = "fleet.azure-devices.net"     # a profile or a host name; without it, the hub that commands find by themselves
secrets = "keyvault:fleet-secrets"  # or a file of NAME=VALUE lines; without it, the environment and .env
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iot_core.errors import InputError

__all__ = ["DEFAULT", "FILE", "Environment", "read_environments"]

FILE = "environments.toml"
DEFAULT = "dev"
"""The environment where there is no file, and the one that is meant until another is selected."""

NAME = re.compile(r"[a-z0-9]{1,24}")
"""It becomes a part of configuration ids."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment; without `hub` it is the hub that commands find, without `secrets` the process environment."""

    name: str
    hub: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: str | None = None


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    hub: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    secrets: str | None = None


def read_environments(folder: Path) -> dict[str, Environment]:
    """The environments of the programs in `folder` by name; `dev` alone where there is no file. Raises InputError."""
    file = folder / FILE
    if not file.is_file():
        return {DEFAULT: Environment(name=DEFAULT)}
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file} is not TOML: {error}") from None
    return {name: _environment(name, entry, file) for name, entry in document.items()}


def _environment(name: str, entry: Any, file: Path) -> Environment:
    if NAME.fullmatch(name) is None:
        raise InputError(f"{file}: environment {name[:40]!r}: a name has up to 24 of a-z and 0-9")
    try:
        read = _Entry.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([name, *map(str, first["loc"])])
        raise InputError(f"{file}: {where}: {first['msg']}") from None
    return Environment(name=name, hub=read.hub, settings=read.settings, secrets=read.secrets)
