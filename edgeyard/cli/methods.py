"""`edgeyard methods`: direct methods of connected devices and modules."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from edgeyard.cli.aliases import like_az
from edgeyard.cli.exits import FAILED
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, YesOption, confirm_change, find_hub, run_async
from edgeyard.cli.render import Output, print_json
from hub_tools.service import MethodResult
from iot_core.errors import InputError
from iot_core.identity import Identity

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Call direct methods of connected devices and modules.")


@app.callback()
def _group() -> None:
    """Keeps `call` a subcommand while it is the only one."""


@app.command(
    cls=like_az(
        "device",
        "method",
        options={"--method-payload": "--payload", "--mp": "--payload", "--to": "--timeout"},
        module=True,
    )
)
def call(
    identity: Annotated[str, typer.Argument(metavar="DEVICE[/MODULE]", help="A device, or a module of it.")],
    name: Annotated[str, typer.Argument(metavar="METHOD")],
    payload: Annotated[str, typer.Option(help="JSON.")] = "null",
    timeout: Annotated[int, typer.Option(help="Seconds to wait for the answer.", min=5, max=300)] = 30,
    connect_timeout: Annotated[
        int, typer.Option(help="Seconds to wait for a device that is not connected.", min=0, max=300)
    ] = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="Both are JSON.")] = Output.JSON,
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Call a direct method of a device or module and print its status and what it answers.

    Example: edgeyard methods call thermostat-1 reboot --payload '{"delaySeconds": 1}'

    Exit codes: 0 the device answered below 400, 1 it answered otherwise or not at all, 2 wrong use.
    """
    del output
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise InputError(f"--payload is not JSON: {error}") from error
    callee = Identity.from_path(identity)
    target = find_hub(hub, home=home)
    confirm_change(target, f"call {name} on {identity}", yes=yes)
    result = run_async(_call(target, callee, name, value, timeout, connect_timeout))
    print_json({"status": result.status, "payload": result.payload})
    if result.status >= 400:
        raise typer.Exit(FAILED)


async def _call(
    target: TargetHub, identity: Identity, name: str, payload: Any, timeout_s: int, connect_timeout_s: int
) -> MethodResult:
    async with target.service() as service:
        return await service.invoke_method(
            identity, name, payload, response_timeout_s=timeout_s, connect_timeout_s=connect_timeout_s
        )
