"""`edgeyard groups`: the groups of a file, and how many devices are in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeyard.cli.aliases import like_az
from edgeyard.cli.hubs import HomeOption, HubOption, TargetHub, find_hub, run_async
from edgeyard.cli.render import Output, print_json, print_note, print_table
from edgeyard.cli.selection import GROUPS_FILE, GroupsFileOption, named_group
from hub_tools.devices import Count, count_by, count_groups
from hub_tools.groups import EVERY_DEVICE, read_groups

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Groups of devices: tag queries with names, kept in a file.")

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Table for people, JSON for machines.")]
BAR = 40
"""Characters of the longest bar."""
WITHOUT = "(none)"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@app.command("list")
def list_groups(groups: GroupsFileOption = GROUPS_FILE, output: OutputOption = Output.TABLE) -> None:
    """List the groups of the file with their conditions.

    Example: edgeyard groups list --groups groups.yaml
    """
    found = read_groups(groups).values()
    if output is Output.JSON:
        print_json([{"name": group.name, "condition": group.condition} for group in found])
    else:
        print_table(("GROUP", "CONDITION"), ((group.name, group.condition) for group in found))


@app.command(cls=like_az())
def show(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One group.", show_default=False)] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Count by this tag's values, as tags.floor.", show_default=False),
    ] = None,
    groups: GroupsFileOption = GROUPS_FILE,
    output: OutputOption = Output.TABLE,
    hub: HubOption = None,
    home: HomeOption = None,
) -> None:
    """Count devices: of each group of the file, or with --by of each value of a tag, as a table and bars.

    Example: edgeyard groups show office --by tags.floor
    """
    counts = run_async(_counts(find_hub(hub, home=home), name, by, groups))
    if output is Output.JSON:
        print_json([{"value": count.value, "devices": count.devices} for count in counts])
        return
    most = max((count.devices for count in counts), default=0)
    rows = ((_label(count), count.devices, bar(count.devices, most)) for count in counts)
    print_table((by or "GROUP", "DEVICES", ""), rows)
    if by:
        total = sum(count.devices for count in counts)
        print_note(f"{total} devices in {name or 'all'}, {len(counts)} values of {by}")


async def _counts(target: TargetHub, name: str | None, by: str | None, file: Path) -> list[Count]:
    group = named_group(name, file) if name is not None else None
    async with target.service() as service:
        if by is not None:
            return await count_by(service, by, group.condition if group is not None else EVERY_DEVICE)
        return await count_groups(service, [group] if group is not None else list(read_groups(file).values()))


def _label(count: Count) -> str:
    return WITHOUT if count.value is None else str(count.value)


def bar(number: int, most: int) -> str:
    """A bar as long as its share of the longest one, to an eighth of a character."""
    eighths = round(number / most * BAR * 8) if most else 0
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
