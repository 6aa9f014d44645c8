"""`edgeyard hub`: run the local IoT Hub and look into it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli import hub_controls, hub_groups, hub_routes
from edgeyard.cli.hub_compare import compare
from edgeyard.cli.hubs import HomeOption, home_folder, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from iot_core.errors import InputError
from local_hub.home import OWNER

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run a local IoT Hub and look into it.")
app.command()(compare)
app.add_typer(hub_routes.app, name="routes")
app.add_typer(hub_groups.app, name="consumer-groups")
app.add_typer(hub_controls.clock_app, name="clock")
app.add_typer(hub_controls.fault_app, name="fault")
app.add_typer(hub_controls.snapshot_app, name="snapshot")
app.command("log")(hub_controls.log)
app.command("reset")(hub_controls.reset)


class Durability(StrEnum):
    """When an acknowledgement may leave."""

    FULL = "full"
    NORMAL = "normal"


class TierName(StrEnum):
    """Pricing tiers of IoT Hub."""

    F1 = "F1"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"


class EnvFormat(StrEnum):
    """Formats of `hub env`."""

    SHELL = "shell"
    JSON = "json"


@app.command()
def run(
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.2 for a second hub.")] = "127.0.0.1",
    http_port: Annotated[
        int | None, typer.Option(help="HTTPS port. Default: 443 where it may, else 8443.", show_default=False)
    ] = None,
    eventhub_plain_port: Annotated[
        int | None,
        typer.Option(help="Serve AMQP without TLS too, for clients of the Event Hubs emulator.", show_default=False),
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(help="Of the built-in endpoint of a new hub. Default: 4.", show_default=False)
    ] = None,
    retention_days: Annotated[int, typer.Option(help="How long the built-in endpoint keeps events, 1 to 7 days.")] = 1,
    durability: Annotated[
        Durability, typer.Option(help="full: acknowledge after the sync to disk. normal: faster, a power cut may lose.")
    ] = Durability.FULL,
    tier: Annotated[
        TierName, typer.Option(help="Whose limits hold: configurations of F1; with --throttle, jobs too.")
    ] = TierName.S3,
    storage: Annotated[
        str,
        typer.Option(
            envvar="EDGEYARD_STORAGE",
            metavar="built-in|off|CONNECTION_STRING",
            help="Where devices upload files: here, nowhere, or into a storage account (Azurite's or a real one).",
        ),
    ] = "built-in",
    storage_container: Annotated[
        str, typer.Option(help="Container in it; in an account elsewhere it must be there.")
    ] = "device-files",
    throttle: Annotated[
        bool, typer.Option("--throttle/--no-throttle", help="The rates, daily quota and job limits of the tier hold.")
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(
            "--like-azure",
            envvar="EDGEYARD_LIKE_AZURE",
            metavar="TIER[:UNITS]",
            help="Be as slow as a real hub: --tier and --throttle, late queries, configurations every five minutes.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML file of devices, twins and configurations.", show_default=False),
    ] = None,
) -> None:
    """Run a local IoT Hub until Ctrl-C: MQTT over TLS on 8883, AMQP on 5671, HTTPS on 443 or 8443.

    Example: edgeyard hub run --host 127.0.0.1
    """
    from local_hub.config import HubConfig
    from local_hub.controls.like_azure import like_azure
    from local_hub.eventhub.retention import RetentionOptions
    from local_hub.files.options import FileUploadOptions
    from local_hub.local_hub import serve

    config = HubConfig(
        home=home_folder(home),
        host=host,
        http_port=http_port,
        eventhub_plain_port=eventhub_plain_port,
        partitions=partitions,
        retention=RetentionOptions(days=retention_days),
        durability=durability.value,
        file_upload=FileUploadOptions(storage=storage, container=storage_container),
        tier=tier.value,
        throttle=throttle,
        seed=seed,
    )
    if like:
        config = like_azure(config, like)
    serve(config, announce=lambda line: print(line, flush=True), warn=print_note)


@app.command()
def env(
    home: HomeOption = None,
    format: Annotated[EnvFormat, typer.Option(help="shell prints export lines.")] = EnvFormat.SHELL,
    policy: Annotated[str, typer.Option(help="Shared access policy of IOTHUB_CONNECTION_STRING.")] = OWNER,
) -> None:
    """Print the variables that point SDKs and tools at the local hub.

    Example: eval "$(edgeyard hub env)"
    """
    from local_hub.environment import FORMATS, hub_environment

    print(FORMATS[format.value](hub_environment(home_folder(home), policy=policy)))


@app.command()
def trace(
    home: HomeOption = None,
    device: Annotated[str | None, typer.Option(help="Only events of this device.", show_default=False)] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="One line an event, as text or JSON.")
    ] = Output.TABLE,
) -> None:
    """Print what happens in the local hub, as it happens, until Ctrl-C.

    Example: edgeyard hub trace --device thermostat-1
    """
    from edgeyard.admin import AdminDoor

    async def follow() -> None:
        async with AdminDoor.of(home_folder(home)) as door:
            async for event in door.events(device=device):
                print(json.dumps(event) if output is Output.JSON else _line(event), flush=True)

    run_async(follow())


def _line(event: dict[str, object]) -> str:
    who = "/".join(str(part) for part in (event.get("deviceId"), event.get("moduleId")) if part)
    body = event.get("body")
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"{str(event.get('time', ''))[11:23]}  {event.get('source', ''):<27} {who:<24} {text}"


@app.command()
def status(
    home: HomeOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
) -> None:
    """Print addresses and counts of the running local hub.

    Example: edgeyard hub status --output json
    """
    from edgeyard.admin import AdminDoor

    async def ask() -> dict[str, object]:
        async with AdminDoor.of(home_folder(home)) as door:
            return await door.status()

    state = run_async(ask())
    if output is Output.JSON:
        print_json(state)
    else:
        print_table(("WHAT", "VALUE"), state.items())


@app.command("trust-ca")
def trust_ca(
    file: Annotated[
        Path | None, typer.Argument(help="Certificate authorities, PEM or DER.", show_default=False)
    ] = None,
    home: HomeOption = None,
    list_all: Annotated[bool, typer.Option("--list", help="Print the trusted authorities.")] = False,
    remove: Annotated[
        str | None, typer.Option(metavar="THUMBPRINT", help="Trust this one no longer.", show_default=False)
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
) -> None:
    """Trust a certificate authority: devices of authentication type certificateAuthority log in with its certificates.

    At most 25; counts for the next connection of the running local hub.

    Example: edgeyard hub trust-ca factory-ca.pem
    """
    from edgeyard.admin import AdminDoor

    if (file is not None) + list_all + (remove is not None) != 1:
        raise InputError("hub trust-ca takes one of FILE, --list and --remove THUMBPRINT")
    certificates = _read(file) if file is not None else b""

    async def work() -> list[dict[str, object]]:
        async with AdminDoor.of(home_folder(home)) as door:
            if file is not None:
                return await door.trust(certificates)
            if remove is not None:
                await door.distrust(remove)
            return await door.authorities()

    authorities = run_async(work())
    if output is Output.JSON:
        print_json(authorities)
    else:
        columns = ("subject", "expires", "thumbprint")
        print_table(("SUBJECT", "EXPIRES", "THUMBPRINT"), [[row[name] for name in columns] for row in authorities])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


@app.command()
def conformance(
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
) -> None:
    """Print the ledger: how close each operation is to IoT Hub's, the test that shows it, when it was seen on Azure.

    Example: edgeyard hub conformance
    """
    from rich.text import Text

    from local_hub.conformance import LEDGER

    if output is Output.JSON:
        print_json([entry.document() for entry in LEDGER])
    else:
        rows = [(e.area, e.operation, e.state.value, Text(e.test, overflow="fold"), e.seen, e.note) for e in LEDGER]
        print_table(("AREA", "OPERATION", "STATE", "TEST", "SEEN ON AZURE", "NOTE"), rows)
