"""Which devices a command means: `--where`, a group of a file, or said in so many words, all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub_tools.groups import EVERY_DEVICE, Group, read_groups
from iot_core.errors import InputError

__all__ = [
    "GROUPS_FILE",
    "AllOption",
    "GroupOption",
    "GroupsFileOption",
    "WhereOption",
    "named_group",
    "selected",
    "selected_for_change",
]

GROUPS_FILE = Path("groups.yaml")
AllOption = Annotated[bool, typer.Option("--all", help="Every device of the hub.")]
WhereOption = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Condition of a query, after WHERE.", show_default=False),
]
GroupOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="A group of the file of groups.", show_default=False)
]
GroupsFileOption = Annotated[Path, typer.Option("--groups", metavar="FILE", help="File of groups.")]


def named_group(name: str, file: Path) -> Group:
    """A group of the file; InputError that names those there are."""
    groups = read_groups(file)
    if name not in groups:
        raise InputError(f"{file} has no group {name!r}; it has {', '.join(groups) or 'none'}")
    return groups[name]


def selected(where: str | None, group: str | None, file: Path) -> str:
    """The condition that is meant, every device without one; InputError for both, and for a wrong one."""
    if where is not None and group is not None:
        raise InputError("give --where or --group, not both")
    if group is not None:
        return named_group(group, file).condition
    if where is None:
        return EVERY_DEVICE
    if not where.strip():
        raise InputError("--where is empty: write a condition, or leave it out for all devices")
    return Group("--where", where.strip()).check().condition


def selected_for_change(where: str | None, group: str | None, file: Path, *, every: bool) -> str:
    """The same where devices are changed: all of them must be said in so many words."""
    if every and where is None and group is None:
        return EVERY_DEVICE
    if every:
        raise InputError("give --all or --where or --group, one of them")
    if (where or "").strip() == EVERY_DEVICE:
        raise InputError("for every device of the hub say --all: '*' is too easily typed")
    if where is None and group is None:
        raise InputError("which devices? Give --where CONDITION, --group NAME, or --all")
    return selected(where, group, file)
