"""`edgeyard hub consumer-groups`: who may read the built-in endpoint of the running local hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from edgeyard.admin import AdminDoor
from edgeyard.cli.hubs import HomeOption, home_folder, run_async
from edgeyard.cli.render import print_table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Consumer groups of the local hub's built-in endpoint.")


@app.command("list")
def list_groups(home: HomeOption = None) -> None:
    """Print the consumer groups.

    Example: edgeyard hub consumer-groups list
    """
    _print(run_async(_call(home, "GET", "/eventhub")))


@app.command()
def add(name: str, home: HomeOption = None) -> None:
    """Add a consumer group.

    Example: edgeyard hub consumer-groups add dashboard
    """
    _print(run_async(_call(home, "POST", "/eventhub/groups", name)))


@app.command()
def remove(name: str, home: HomeOption = None) -> None:
    """Remove a consumer group.

    Example: edgeyard hub consumer-groups remove dashboard
    """
    _print(run_async(_call(home, "DELETE", "/eventhub/groups", name)))


def _print(event_hub: dict[str, Any]) -> None:
    print_table(("CONSUMER GROUP",), [(name,) for name in event_hub["consumerGroups"]])


async def _call(home: Path | None, verb: str, path: str, name: str | None = None) -> dict[str, Any]:
    async with AdminDoor.of(home_folder(home)) as door:
        return dict(await door.call(verb, path, {} if name is None else {"name": name}))
