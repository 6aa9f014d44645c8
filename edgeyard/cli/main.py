"""The `edgeyard` command: its groups, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from edgeyard.cli.exits import DONE, FAILED, WRONG_USE, exit_code_of
from edgeyard.cli.lazy import LazyCommand, lazy_group
from edgeyard.cli.render import print_error
from iot_core.errors import EdgeyardError

__all__ = ["COMMANDS", "app", "main", "run"]


def _command(module: str, attribute: str, text: str, *, command_class: str | None = None) -> LazyCommand:
    return LazyCommand(module=f"edgeyard.cli.{module}", attribute=attribute, help=text, command_class=command_class)


COMMANDS = {
    "hub": _command("hub", "app", "Run a local IoT Hub and look into it."),
    "edge": _command("edge", "app", "Run a local IoT Edge device and look into it."),
    "device": _command("device", "app", "Run a simulated device."),
    "devices": _command("devices", "app", "Look at and change the device identities of a hub."),
    "dps": _command("dps", "app", "Enrol devices with the Device Provisioning Service."),
    "job": _command("job", "app", "One change for every device that a query matches."),
    "twin": _command("twin", "app", "Look at and change device and module twins."),
    "query": _command(
        "query",
        "query",
        "Run a query in the IoT Hub query language, page after page, and print the rows as they come.",
        command_class="QueryCommand",
    ),
    "methods": _command("methods", "app", "Call direct methods of connected devices and modules."),
    "c2d": _command("c2d", "app", "Send cloud-to-device messages."),
    "groups": _command("groups", "app", "Groups of devices: tag queries with names, kept in a file."),
    "profiles": _command("profiles", "app", "Name hubs, so that no key stands in a command or in the shell's history."),
    "monitor": _command(
        "monitor",
        "monitor",
        "Print telemetry and other events of any hub, as they arrive at its built-in endpoint, until Ctrl-C.",
    ),
    "preview": _command(
        "stack",
        "preview",
        "Show what applying a stack would change, on the hub and on each class of devices; nothing is changed.",
    ),
    "up": _command(
        "stack_apply",
        "up",
        "Apply a stack: new deployments come beside the old, which go once devices report success.",
    ),
    "stack": _command("stack", "app", "Deployments as code: preview them, apply them, take them down."),
    "validate": _command(
        "validate",
        "validate",
        "Check deployments by rules (V01–V17) and policies (P01–P06); several files are the layers of one device.",
    ),
    "export": _command(
        "export",
        "export",
        "Write a deployment for docker compose, for a Kubernetes cluster, or for the az command line.",
    ),
    "new": _command("new", "app", "Begin a module of your own."),
    "watch": _command(
        "watch",
        "watch",
        "Restart a module of the running local edge within two seconds of a change of its files, until Ctrl-C.",
    ),
    "build": _command(
        "images", "build", "Build the images of modules for amd64 and arm64, with docker buildx, podman or nerdctl."
    ),
    "score": _command(
        "score", "score", "Have the scorer module say what a picture shows and draw its five likeliest classes."
    ),
    "sentiment": _command(
        "sentiment",
        "sentiment",
        "Ask the sentiment container whether a text is positive, neutral or negative, and draw its confidences.",
    ),
    "demo": _command(
        "demo", "demo", "See it work: a local hub, an edge with modules, a fleet and a bulk job, on real data."
    ),
}
"""All commands, in the order of the help; each line is the first one of what the command says of itself."""

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Azure IoT Edge modules, device code and operators' tools, with a local IoT Hub and IoT Edge in the box.",
    epilog="Start with: edgeyard demo   ·   Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly done, 4 changed.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from edgeyard.cli.version import version

        typer.echo(f"edgeyard {version()}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del show_version


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; every expected error becomes one line on stderr."""
    command = typer.main.get_command(app)
    try:
        result = command.main(args=list(arguments), prog_name="edgeyard", standalone_mode=False)
    except TyperException as error:
        # Empty where a command was given nothing at all: its help has been printed then.
        if error.format_message():
            print_error(f"{error.format_message()} Help: {_help_command(error)} --help")
        return WRONG_USE
    except typer.Abort:
        return FAILED
    except EdgeyardError as error:
        print_error(str(error))
        return exit_code_of(error)
    return result if isinstance(result, int) else DONE


def _help_command(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "edgeyard"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))
