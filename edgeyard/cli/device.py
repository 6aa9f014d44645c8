"""`edgeyard device`: run a simulated device."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeyard.cli.devices import device_connection_string
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, authority_for, find_hub, home_folder, run_async
from iot_core.connection_string import ConnectionString
from iot_core.errors import InputError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run a simulated device.")


@app.callback()
def _group() -> None:
    """Keeps `run` a subcommand while it is the only one."""


@app.command()
def run(
    device_id: Annotated[str | None, typer.Argument(metavar="DEVICE_ID", show_default=False)] = None,
    connection_string: Annotated[
        str | None,
        typer.Option(help="The device's own, in place of its id.", envvar="IOTHUB_DEVICE_CONNECTION_STRING"),
    ] = None,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Run a simulated device until Ctrl-C: it replays real temperatures and obeys its twin.

    Example: edgeyard device run thermostat-1
    """
    from device.azure_client import SdkClient
    from device.logs import configure_logs
    from device.process import leave, run_process
    from device.simulated import SimulatedDevice

    target = find_hub(hub, home=home) if device_id else None
    if target is not None and device_id is not None:
        device = run_async(_connection_string(target, device_id))
    elif connection_string:
        device = ConnectionString.parse(connection_string)
    else:
        raise InputError("name a device: edgeyard device run DEVICE_ID, or give --connection-string")
    ca_file = authority_for(device.host_name, home_folder(home))
    configure_logs()

    async def work() -> int:
        client = SdkClient.from_connection_string(str(device), ca_file=ca_file)
        await SimulatedDevice(client, str(device.device_id)).run()
        return 0

    leave(run_process(work))


async def _connection_string(target: TargetHub, device_id: str) -> ConnectionString:
    async with target.service() as service:
        return device_connection_string(target, await service.get_device(device_id))
