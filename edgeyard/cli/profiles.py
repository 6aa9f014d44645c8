"""`edgeyard profiles`: hubs by short names, with their keys in a file of the user's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from hub_tools.profiles import Profile, Profiles
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Name hubs, so that no key stands in a command or in the shell's history.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]
MOST_CHARACTERS = 5000
"""Read of a connection string at most."""


@app.command()
def add(
    name: NameArgument,
    refused: Annotated[str | None, typer.Argument(hidden=True)] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="NAME.azure-devices.net", help="Sign in instead, without any key.", show_default=False),
    ] = None,
    variable: Annotated[
        str | None,
        typer.Option("--from-env", metavar="VARIABLE", help="Take it from this variable.", show_default=False),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Authorities to trust beside the system's, PEM.", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a profile of that name.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Keep a policy's connection string under a name; it is asked for, or read from stdin or a variable.

    Example: edgeyard profiles add fleet
    """
    if refused is not None:
        raise InputError(
            "a connection string is never an argument, for it stays in the shell's history: leave it out and it is "
            "asked for. If this was a real key, renew it."
        )
    if ca_file is not None and not ca_file.is_file():
        raise InputError(f"--ca-file {ca_file}: there is no such file")
    policy = None if host else ConnectionString.parse(_connection_string(variable))
    profile = Profile(
        name=name, connection_string=policy, host=host, ca_file=ca_file.absolute() if ca_file is not None else None
    )
    profiles = Profiles()
    profiles.add(profile, replace=replace)
    if output is Output.JSON:
        print_json(profile.described())
    else:
        stdout.print(f"{name}: {profile.host_name}, {profile.described()['signIn']}", markup=False, soft_wrap=True)
        print_note(f"Kept in {profiles.file}. Use it: edgeyard devices list --hub {name}")


def _connection_string(variable: str | None) -> str:
    """From the variable, the prompt, or stdin where nobody can be asked."""
    if variable is not None:
        text = os.environ.get(variable, "")
        if not text.strip():
            raise InputError(f"--from-env {variable}: the variable is not set")
    elif sys.stdin.isatty():
        text = typer.prompt("Connection string (not shown)", hide_input=True, err=True)
    else:
        text = sys.stdin.read(MOST_CHARACTERS)
        if not text.strip():
            raise InputError("stdin holds no connection string: pipe it in, or give --from-env VARIABLE")
    return text.strip()


@app.command("list")
def list_profiles(output: OutputOption = Output.TABLE) -> None:
    """List the profiles; keys are not shown.

    Example: edgeyard profiles list
    """
    rows = [profile.described() for _, profile in sorted(Profiles().read().items())]
    if output is Output.JSON:
        print_json(rows)
    else:
        print_table(("NAME", "HOST", "SIGNS IN AS"), (list(row.values()) for row in rows))


@app.command()
def remove(name: NameArgument) -> None:
    """Forget a profile.

    Example: edgeyard profiles remove fleet
    """
    Profiles().remove(name)
    print_note(f"{name} is forgotten; the hub and its key are as they were.")
