"""`edgeyard edge`: run a local IoT Edge device and look into it, with the verbs of the `iotedge` command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.devices import device_connection_string
from edgeyard.cli.hubs import (
    HomeOption,
    HubOption,
    TargetHub,
    YesOption,
    confirm_change,
    find_hub,
    home_folder,
    run_async,
)
from edgeyard.cli.render import stdout
from hub_tools.deployments import expand_template
from hub_tools.rest import RestHubService
from iot_core.connection_string import ConnectionString

__all__ = ["app"]

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
    from local_edge.local_edge import serve

    target = find_hub(hub, home=home)
    config = EdgeConfig(
        connection_string=str(run_async(_connection_string(target, device_id))),
        host=host,
        home=home_folder(home) / "edge" / device_id,
        ca_file=target.ca_file,
    )
    run_async(serve(config, on_ready=lambda line: print(line, flush=True)))


async def _connection_string(target: TargetHub, device_id: str) -> ConnectionString:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        device = device_connection_string(target, await service.get_device(device_id))
        # The edge makes module identities over HTTPS, so unlike a device SDK it needs the port.
        return replace(device, host_name=target.connection_string.host_name)


@app.command("set-modules")
def set_modules(
    device_id: DeviceArgument,
    template: Annotated[Path, typer.Option(help="Deployment template or manifest.")] = Path("deployment.template.json"),
    hub: HubOption = None,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Give one edge device a deployment.

    Example: edgeyard edge set-modules edge-1 --template deployment.template.json
    """
    deployment = expand_template(template)
    target = find_hub(hub, home=home)
    confirm_change(target, f"replace the modules of {device_id}", yes=yes)
    run_async(_apply(target, device_id, deployment))
    modules = deployment["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]
    stdout.print(f"{device_id}: {len(modules)} modules deployed: {', '.join(sorted(modules))}", markup=False)


async def _apply(target: TargetHub, device_id: str, deployment: dict[str, object]) -> None:
    async with RestHubService(target.connection_string, ca_file=target.ca_file) as service:
        await service.apply_configuration_content(device_id, deployment)
