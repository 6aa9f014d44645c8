"""Which devices a command means: `--where`, a group of a file, or said in so many words, all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub_tools.groups import EVERY_DEVICE, Group, read_groups
from iot_core.errors import InputError

__all__ = ["GROUPS_FILE", "GroupOption", "GroupsFileOption", "WhereOption", "named_group", "selected"]

GROUPS_FILE = Path("groups.yaml")
WhereOption = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Condition of a query, after WHERE; '*' for all.", show_default=False),
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


def selected(where: str | None, group: str | None, file: Path, *, default: str | None = None) -> str:
    """The condition that is meant; InputError for both, for neither without a default, and for a wrong one."""
    if where is not None and group is not None:
        raise InputError("give --where or --group, not both")
    if group is not None:
        return named_group(group, file).condition
    if where is not None:
        return Group("--where", where.strip() or EVERY_DEVICE).check().condition if where.strip() else _empty()
    if default is None:
        raise InputError("which devices? Give --where CONDITION or --group NAME; --where '*' for all")
    return default


def _empty() -> str:
    raise InputError("--where is empty: write a condition, or '*' for all devices")
