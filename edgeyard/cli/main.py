"""The `edgeyard` command: its groups, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from edgeyard.cli import demo, device, devices, dps, edge, hub, job, look, monitor, services
from edgeyard.cli.exits import DONE, FAILED, WRONG_USE, exit_code_of
from edgeyard.cli.render import print_error
from edgeyard.cli.version import version
from iot_core.errors import EdgeyardError

__all__ = ["app", "main", "run"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Azure IoT Edge modules, device code and operators' tools, with a local IoT Hub and IoT Edge in the box.",
    epilog="Start with: edgeyard demo   ·   Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly done.",
)
app.add_typer(hub.app, name="hub")
app.add_typer(edge.app, name="edge")
app.add_typer(device.app, name="device")
app.add_typer(devices.app, name="devices")
app.add_typer(dps.app, name="dps")
app.add_typer(job.app, name="job")
app.add_typer(look.twin_app, name="twin")
app.command("query")(look.query)
app.command("methods")(look.invoke_method)
app.command("monitor")(monitor.monitor)
app.command("score")(services.score)
app.command("sentiment")(services.sentiment)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
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
