"""Which hub a command means: `--hub`, else IOTHUB_CONNECTION_STRING, else the local hub of the home folder.

`--hub` takes a policy's connection string, the name of a profile, NAME.azure-devices.net (signs in by Microsoft
Entra ID) or `local`.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from edgeyard.cli.render import print_note
from hub_tools.credentials import Credential, EntraCredential, PolicyCredential
from hub_tools.profiles import LOCAL, Profile, Profiles, is_hub_host
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError
from local_hub.environment import hub_environment
from local_hub.home import HubHome

__all__ = [
    "HomeOption",
    "HubOption",
    "TargetHub",
    "YesOption",
    "confirm_change",
    "find_hub",
    "home_folder",
    "is_loopback",
    "local_hub",
    "run_async",
]

T = TypeVar("T")

HubOption = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="HUB",
        help="A profile, NAME.azure-devices.net, a policy's connection string, or local. "
        "Default: IOTHUB_CONNECTION_STRING, else the running local hub.",
        show_default=False,
    ),
]
HomeOption = Annotated[
    Path | None,
    typer.Option(help="Folder of all data. Default: EDGEYARD_HOME, else .edgeyard here.", show_default=False),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing a hub that is not local.")]


@dataclass(frozen=True, kw_only=True)
class TargetHub:
    """A hub to talk to: by a `policy`, or without one by whoever is signed in.

    `ca_file` holds the authorities to trust beside the system's (for a local hub).
    """

    host_name: str
    policy: ConnectionString | None
    ca_file: Path | None = None

    @classmethod
    def of_policy(cls, policy: ConnectionString, ca_file: Path | None) -> TargetHub:
        """The hub of a policy's connection string."""
        return cls(host_name=policy.host_name, policy=policy, ca_file=ca_file)

    @property
    def local(self) -> bool:
        """Whether it listens on this machine's loopback addresses only."""
        return is_loopback(self.host_name)

    @property
    def connection_string(self) -> ConnectionString:
        """The policy's connection string; InputError for a hub that is reached by a sign-in, where it takes a key."""
        if self.policy is None:
            raise InputError(f"this takes a key of {self.host_name}: give a policy's connection string or its profile")
        return self.policy

    def credential(self) -> Credential:
        """Who calls. ConnectionStringError for a device's connection string; InputError without azure-identity."""
        return EntraCredential(self.host_name) if self.policy is None else PolicyCredential(self.policy)

    def service(self) -> RestHubService:
        """The hub's service side, to be closed; raises what `credential` does."""
        return RestHubService(self.credential(), ca_file=self.ca_file)


def home_folder(option: Path | None = None) -> Path:
    """The data folder: the option, else EDGEYARD_HOME, else `.edgeyard` in the current folder."""
    return (option or Path(os.environ.get("EDGEYARD_HOME") or ".edgeyard")).absolute()


def find_hub(option: str | None, *, home: Path | None = None) -> TargetHub:
    """The hub that a command means; `InputError` when none is named and no local hub runs, or the name is nobody's."""
    folder = home_folder(home)
    text = option or os.environ.get("IOTHUB_CONNECTION_STRING")
    if not text or text == LOCAL:
        return local_hub(folder)
    if "=" in text:
        policy = ConnectionString.parse(text)
        return TargetHub.of_policy(policy, authority_for(policy.host_name, folder))
    if is_hub_host(text):
        return TargetHub(host_name=text, policy=None)
    return _of_profile(Profiles().get(text), folder)


def _of_profile(profile: Profile, home: Path) -> TargetHub:
    ca_file = profile.ca_file or authority_for(profile.host_name, home)
    return TargetHub(host_name=profile.host_name, policy=profile.connection_string, ca_file=ca_file)


def local_hub(home: Path | None = None) -> TargetHub:
    """The hub that runs in the data folder, whatever the environment names; `InputError` when none does."""
    folder = home_folder(home)
    if not HubHome(folder).running.is_file():
        raise InputError(
            f"no hub is named and none runs in {folder}: start one with `edgeyard hub run`, "
            "or give --hub PROFILE, or set IOTHUB_CONNECTION_STRING"
        )
    owner = ConnectionString.parse(hub_environment(folder)["IOTHUB_CONNECTION_STRING"])
    return TargetHub.of_policy(owner, authority_for(owner.host_name, folder))


def is_loopback(host_name: str) -> bool:
    """Whether a HostName (with or without a port) is localhost or a loopback address."""
    host = host_name.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def authority_for(host_name: str, home: Path) -> Path | None:
    """The local hub's own authority, where `host_name` can be a local hub's and the file is there."""
    file = HubHome(home).authority
    return file if is_loopback(host_name) and file.is_file() else None


def confirm_change(target: TargetHub, what: str, *, yes: bool) -> None:
    """Names a hub that is not local and asks before it is changed; ends the command unless agreed.

    Where nobody can be asked, raises `InputError` unless `yes`.
    """
    if target.local or yes:
        return
    host = target.host_name
    if not sys.stdin.isatty():
        raise InputError(f"this would {what} on {host}, which is not a local hub: give --yes to agree")
    if not typer.confirm(f"This will {what} on {host}, which is not a local hub. Go on?", err=True):
        print_note("Nothing was changed.")
        raise typer.Exit(1)


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine on uvloop where that is installed."""
    import asyncio

    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(coroutine)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)
