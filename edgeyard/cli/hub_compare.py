"""`edgeyard hub compare`: where the local hub answers otherwise than another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeyard.cli.exits import FAILED
from edgeyard.cli.hubs import HomeOption, TargetHub, YesOption, confirm_change, find_hub, local_hub, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from hub_tools.rest import RestHubService
from iot_core.errors import InputError

if TYPE_CHECKING:
    from edgeyard.compare import Comparison

__all__ = ["compare"]


def compare(
    hub: Annotated[
        str,
        typer.Option(metavar="CONNECTION_STRING", help="The hub to compare with: a policy's that may do everything."),
    ],
    ca_file: Annotated[
        Path | None,
        typer.Option(help="Authorities to trust for --hub, PEM; for another local hub.", show_default=False),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Table or JSON.")] = Output.TABLE,
    home: HomeOption = None,
    yes: YesOption = False,
) -> None:
    """Ask the running local hub and another hub the same, and print every difference between their answers.

    Makes devices, configurations and jobs named edgeyard-compare-… in both, and removes them again (jobs stay in a
    hub's history). Connects some of these devices, sends messages to and from them, and reads the built-in endpoint in
    $Default beside other readers. Nothing else is changed.

    Example: edgeyard hub compare --hub "$REAL_HUB"

    Exit codes: 0 no difference, 1 differences or failed, 2 wrong use.
    """
    ours, theirs = local_hub(home), find_hub(hub, home=home)
    if ours.connection_string.host_name == theirs.connection_string.host_name:
        raise InputError(f"--hub is {theirs.connection_string.host_name}, the local hub itself: name another one")
    confirm_change(theirs, "make and remove devices, configurations and jobs named edgeyard-compare-…", yes=yes)
    print_note(f"comparing {ours.connection_string.host_name} with {theirs.connection_string.host_name}")
    comparison = run_async(_compare(ours, theirs, ca_file or theirs.ca_file))
    if output is Output.JSON:
        print_json(comparison.document())
    else:
        _print(comparison)
    if comparison.differences:
        raise typer.Exit(FAILED)


async def _compare(ours: TargetHub, theirs: TargetHub, ca_file: Path | None) -> Comparison:
    from edgeyard.compare import Side, compare_hubs  # clients of every protocol, and this file is read to run a hub

    async with (
        RestHubService(ours.connection_string, ca_file=ours.ca_file) as local,
        RestHubService(theirs.connection_string, ca_file=ca_file) as other,
    ):
        return await compare_hubs(
            Side(rest=local, connection_string=ours.connection_string, ca_file=ours.ca_file),
            Side(rest=other, connection_string=theirs.connection_string, ca_file=ca_file),
        )


def _print(comparison: Comparison) -> None:
    found = comparison.differences
    if found:
        rows = [(row.scenario, row.step, row.where, row.local, row.other) for row in found]
        print_table(("SCENARIO", "STEP", "WHERE", "LOCAL", "OTHER"), rows)
    steps = {(row.scenario, row.step) for row in found}
    print_note(f"{len(found)} differences in {len(steps)} of {comparison.steps} steps")
