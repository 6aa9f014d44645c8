"""Commands that are imported when they are called: a command line with many is as fast as the one that is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["LazyCommand", "lazy_group"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LazyCommand:
    """Where a command or a group of commands is, and its line in the help; a group is a ``typer.Typer``.

    ``command_class`` names, in the same module, the class of a command that is not plain.
    """

    module: str
    attribute: str
    help: str
    command_class: str | None = None

    def load(self, name: str) -> Any:
        """The command as typer runs it."""
        module = import_module(self.module)
        found = getattr(module, self.attribute)
        parent = typer.Typer(add_completion=False, rich_markup_mode="rich")
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=name)
        else:
            parent.command(name, cls=getattr(module, self.command_class) if self.command_class else None)(found)
        return typer.main.get_group(parent).commands[name]

    def line(self, name: str) -> TyperCommand:
        """What stands for it in a list of commands."""
        return TyperCommand(name, help=self.help)


def lazy_group(table: Mapping[str, LazyCommand]) -> type[TyperGroup]:
    """The class of a group with the commands of the table, in its order."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands: Any = _Commands(table)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            commands = self.commands
            self.commands = {name: each.line(name) for name, each in table.items()}
            try:
                super().format_help(ctx, formatter)
            finally:
                self.commands = commands

    return LazyGroup


class _Commands(Mapping[str, Any]):
    """The commands by name, loaded when one is looked up."""

    def __init__(self, table: Mapping[str, LazyCommand]) -> None:
        self._table = table
        self._load = cache(lambda name: table[name].load(name))

    def __getitem__(self, name: str) -> Any:
        return self._load(name)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)
