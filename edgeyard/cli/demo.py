"""`edgeyard demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeyard.cli.exits import FAILED
from edgeyard.cli.hubs import run_async
from edgeyard.cli.project import project_folder
from edgeyard.cli.render import stdout

__all__ = ["demo"]


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the table instead of staying up.")] = False,
) -> None:
    """See it work: a local hub, an edge with modules, a fleet and a bulk job, on real data.

    It starts a hub of its own in a temporary folder and can reach no other, whatever the environment says.
    Example: edgeyard demo --once
    """
    from edgeyard.demo.run import run_demo

    if not run_async(run_demo(project_folder(), stdout, once=once)):
        raise typer.Exit(FAILED)
