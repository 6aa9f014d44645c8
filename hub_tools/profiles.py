"""Hubs by short names: a file of the user's own that keeps keys out of arguments and of the shell's history.

    version = 1

    [profiles.fleet]
    connection_string = "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…"

    [profiles.prod]
    host = "fleet.azure-devices.net"      # signs in by Microsoft Entra ID

The file is EDGEYARD_PROFILES, else `edgeyard/profiles.toml` in XDG_CONFIG_HOME (`~/.config`); only its owner
may read it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError
from transport.private_files import write_private

__all__ = ["LOCAL", "Profile", "Profiles", "is_hub_host", "profiles_file"]

VERSION = 1
HUB_SUFFIX = ".azure-devices.net"
LOCAL = "local"
"""The name of the hub that runs in the home folder, so no profile's."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9-]{1,63}" + re.escape(HUB_SUFFIX), re.IGNORECASE)
_FIELDS = frozenset({"connection_string", "host", "ca_file"})
FOLDER_MODE = 0o700


def profiles_file(environment: Mapping[str, str] | None = None) -> Path:
    """Where the user's profiles are; the file need not exist."""
    variables = os.environ if environment is None else environment
    if named := variables.get("EDGEYARD_PROFILES"):
        return Path(named).absolute()
    folder = variables.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(folder) / "edgeyard" / "profiles.toml"


def is_hub_host(text: str) -> bool:
    """Whether it is the host name of one of Azure's hubs, which a sign-in alone reaches."""
    return _HOST.fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A hub by a policy's connection string, or by its host name alone for who signs in; InputError when it is neither.

    `ca_file` holds the authorities to trust beside the system's, for a hub that is not Azure's.
    """

    name: str
    connection_string: ConnectionString | None = None
    host: str | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.name == LOCAL or _NAME.fullmatch(self.name) is None:
            raise InputError(
                f"{self.name[:70]!r} is no name for a profile: 1 to 64 letters, digits, - and _; not 'local'"
            )
        if (self.connection_string is None) == (self.host is None):
            raise InputError(f"profile {self.name}: give a connection string, or a host name to sign in to")
        if self.host is not None and not is_hub_host(self.host):
            raise InputError(f"profile {self.name}: {self.host[:80]!r} is no hub: write NAME{HUB_SUFFIX}")
        policy = self.connection_string
        if policy is not None and not (policy.shared_access_key_name and policy.shared_access_key):
            raise InputError(
                f"profile {self.name}: the connection string has no SharedAccessKeyName and SharedAccessKey; "
                "use a policy's, not a device's"
            )

    @property
    def host_name(self) -> str:
        """The hub's host, whichever way it is reached."""
        return self.host or (self.connection_string.host_name if self.connection_string else "")

    def described(self) -> dict[str, str]:
        """What may be shown of it: name, host, how it signs in; never a key."""
        policy = self.connection_string
        sign_in = f"policy {policy.shared_access_key_name}" if policy else "Microsoft Entra ID"
        return {"name": self.name, "host": self.host_name, "signIn": sign_in}

    def entry(self) -> dict[str, str]:
        """Its lines in the file."""
        values = {"connection_string": self.connection_string, "host": self.host, "ca_file": self.ca_file}
        return {key: str(value) for key, value in values.items() if value is not None}


class Profiles:
    """The profiles of one file."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or profiles_file()

    def read(self) -> dict[str, Profile]:
        """All profiles by name. InputError for a file that others may read, or that is none of ours."""
        try:
            mode = stat.S_IMODE(self.file.stat().st_mode)
            text = self.file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.file} cannot be read: {error}") from None
        if mode & 0o077:
            raise InputError(f"{self.file} holds keys and others may read it: chmod 600 {self.file}")
        return {name: self._profile(name, entry) for name, entry in self._entries(text).items()}

    def get(self, name: str) -> Profile:
        """One profile; InputError that names those there are."""
        known = self.read()
        if name not in known:
            names = ", ".join(sorted(known)) or "none yet: edgeyard profiles add NAME"
            raise InputError(
                f"there is no profile {name[:70]!r} (profiles: {names}); a hub is also named by a connection string, "
                f"by NAME{HUB_SUFFIX} or by 'local'"
            )
        return known[name]

    def add(self, profile: Profile, *, replace: bool = False) -> None:
        """Keeps a profile; InputError when the name is taken, unless it is to `replace` that one."""
        known = self.read()
        if profile.name in known and not replace:
            raise InputError(f"there is a profile {profile.name} already: give --replace to write over it")
        self._write({**known, profile.name: profile})

    def remove(self, name: str) -> None:
        """Forgets a profile; InputError when there is none."""
        self.get(name)
        self._write({other: profile for other, profile in self.read().items() if other != name})

    def _entries(self, text: str) -> dict[str, Any]:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{self.file} is not TOML: {error}") from None
        version, entries = document.get("version"), document.get("profiles", {})
        if version != VERSION or not isinstance(entries, dict):
            raise InputError(f"{self.file}: version {version!r} is not one that this edgeyard reads ({VERSION})")
        return entries

    def _profile(self, name: str, entry: Any) -> Profile:
        if not isinstance(entry, dict) or not set(entry) <= _FIELDS or not all(map(_is_text, entry.values())):
            raise InputError(f"{self.file}: profile {name}: write connection_string or host, and ca_file, as text")
        policy, ca_file = entry.get("connection_string"), entry.get("ca_file")
        try:
            return Profile(
                name=name,
                connection_string=ConnectionString.parse(policy) if policy else None,
                host=entry.get("host"),
                ca_file=Path(ca_file) if ca_file else None,
            )
        except InputError as error:
            raise InputError(f"{self.file}: {error}") from None

    def _write(self, profiles: Mapping[str, Profile]) -> None:
        lines = [f"version = {VERSION}"]
        for name, profile in sorted(profiles.items()):
            lines += ["", f"[profiles.{name}]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in profile.entry().items()]
        try:
            self.file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            write_private(self.file, ("\n".join(lines) + "\n").encode())
        except OSError as error:
            raise InputError(f"{self.file} cannot be written: {error.strerror}") from None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
