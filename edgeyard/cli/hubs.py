"""Which hub a command means: `--hub`, else IOTHUB_CONNECTION_STRING, else the local hub of the home folder."""

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
        metavar="CONNECTION_STRING",
        help="A policy's connection string. Default: IOTHUB_CONNECTION_STRING, else the running local hub.",
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
    """A hub to talk to; `ca_file` holds the authorities to trust beside the system's (for a local hub)."""

    connection_string: ConnectionString
    ca_file: Path | None

    @property
    def local(self) -> bool:
        """Whether it listens on this machine's loopback addresses only."""
        return is_loopback(self.connection_string.host_name)


def home_folder(option: Path | None = None) -> Path:
    """The data folder: the option, else EDGEYARD_HOME, else `.edgeyard` in the current folder."""
    return (option or Path(os.environ.get("EDGEYARD_HOME") or ".edgeyard")).absolute()


def find_hub(option: str | None, *, home: Path | None = None) -> TargetHub:
    """The hub that a command means; `InputError` when none is named and no local hub runs."""
    folder = home_folder(home)
    text = option or os.environ.get("IOTHUB_CONNECTION_STRING")
    if text:
        named = ConnectionString.parse(text)
        return TargetHub(connection_string=named, ca_file=authority_for(named.host_name, folder))
    return local_hub(folder)


def local_hub(home: Path | None = None) -> TargetHub:
    """The hub that runs in the data folder, whatever the environment names; `InputError` when none does."""
    folder = home_folder(home)
    if not HubHome(folder).running.is_file():
        raise InputError(
            f"no hub is named and none runs in {folder}: start one with `edgeyard hub run`, "
            "or give --hub CONNECTION_STRING, or set IOTHUB_CONNECTION_STRING"
        )
    owner = ConnectionString.parse(hub_environment(folder)["IOTHUB_CONNECTION_STRING"])
    return TargetHub(connection_string=owner, ca_file=authority_for(owner.host_name, folder))


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
    host = target.connection_string.host_name
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
