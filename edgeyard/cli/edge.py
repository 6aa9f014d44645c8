"""`edgeyard edge`: run a local IoT Edge device and look into it, with the verbs of the `iotedge` command."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.devices import device_connection_string
from edgeyard.cli.hubs import (
    HomeOption,
    HubOption,
    TargetHub,
    find_hub,
    home_folder,
    run_async,
)
from edgeyard.cli.project import project_folder
from edgeyard.cli.render import Output, print_json, print_note, print_table, stdout
from edgeyard.cli.set_modules import set_modules
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError

__all__ = ["app", "running_edge"]

app = typer.Typer(no_args_is_help=True, help="Run a local IoT Edge device and look into it.")

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE_ID")]


@app.command()
def run(
    device_id: DeviceArgument,
    host: Annotated[str, typer.Option(help="Address of the edge hub; 127.0.0.3 for a second edge.")] = "127.0.0.2",
    images: Annotated[
        Path | None, typer.Option(help="Table of images and commands. Default: edgeyard.toml here.", show_default=False)
    ] = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Run an edge device until Ctrl-C: its agent, edge hub and modules.

    Example: edgeyard edge run edge-1
    """
    from local_edge.config import EdgeConfig
    from local_edge.engines.images import load_image_table
    from local_edge.local_edge import serve

    target = find_hub(hub, home=home)
    config = EdgeConfig(
        connection_string=str(run_async(_connection_string(target, device_id))),
        host=host,
        home=home_folder(home) / "edge" / device_id,
        ca_file=target.ca_file,
        images=load_image_table(images or _default_table()),
    )
    serve(config, announce=lambda line: print(line, flush=True), warn=print_note)


def _default_table() -> Path:
    """edgeyard.toml of the current folder, else the one of this repository."""
    here = Path("edgeyard.toml")
    return here if here.is_file() else project_folder() / "edgeyard.toml"


async def _connection_string(target: TargetHub, device_id: str) -> ConnectionString:
    async with target.service() as service:
        device = device_connection_string(target, await service.get_device(device_id))
        # The edge makes module identities over HTTPS, so unlike a device SDK it needs the port.
        return replace(device, host_name=target.host_name)


app.command("set-modules")(set_modules)

DeviceOption = Annotated[
    str | None, typer.Option("--device", help="The edge device. Default: the only one that runs.", show_default=False)
]
ModuleArgument = Annotated[str, typer.Argument(metavar="MODULE")]


@app.command("list")
def list_modules(
    device: DeviceOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    home: HomeOption = None,
) -> None:
    """List the modules of a running edge, as `iotedge list` does.

    Example: edgeyard edge list
    """
    from local_edge import control

    rows = control.list_modules(running_edge(device, home))
    if output is Output.JSON:
        print_json([asdict(row) for row in rows])
    else:
        print_table(("NAME", "STATUS", "DESCRIPTION", "Config"), (row.cells(time.time()) for row in rows))


@app.command()
def logs(
    module: ModuleArgument,
    tail: Annotated[int | None, typer.Option(help="Only the last lines.", min=0, show_default=False)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    device: DeviceOption = None,
    home: HomeOption = None,
) -> None:
    """Print what a module printed.

    Example: edgeyard edge logs scorer --tail 20
    """
    from local_edge import control

    for piece in control.logs(running_edge(device, home), module, tail, follow):
        print(piece, end="", flush=True)


@app.command()
def restart(module: ModuleArgument, device: DeviceOption = None, home: HomeOption = None) -> None:
    """Restart a module of a running edge.

    Example: edgeyard edge restart scorer
    """
    from local_edge import control

    control.restart(running_edge(device, home), module)
    stdout.print(f"Restarted {module}", markup=False)


def running_edge(device: str | None, home: Path | None) -> Path:
    """The home of the edge that a command means; `InputError` when there is none, or more than one to choose from."""
    from local_edge import control

    edges = home_folder(home) / "edge"
    if device is not None:
        return edges / device
    running = control.running_edges(edges)
    if len(running) == 1:
        return running[0]
    if running:
        names = ", ".join(sorted(folder.name for folder in running))
        raise InputError(f"several edges run here: choose one by --device ({names})")
    raise InputError(f"no edge runs in {edges}: start one with `edgeyard edge run DEVICE_ID`")
