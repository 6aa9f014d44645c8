"""How a difference between two deployments of a device looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from edgeyard.cli.render import stdout
from hub_tools.stacks.difference import Difference, ValueChange

__all__ = ["difference_lines", "print_difference"]

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red")}
_CHANGED = ("~", "yellow")
_VALUE_CHARACTERS = 80
"""Longer values are cut: what changed is told by their path."""


def print_difference(difference: Difference, *, indent: int = 0) -> None:
    """Modules with their fate and its reasons, routes, twins, the runtime's settings: + new, - gone, ~ changed."""
    for line in difference_lines(difference):
        stdout.print(Text(" " * indent).append_text(line), soft_wrap=True)


def difference_lines(difference: Difference) -> Iterator[Text]:
    for module in difference.modules:
        sign, style = _SIGNS.get(module.fate, _CHANGED)
        yield Text(f"{sign} module {module.name} {module.fate}", style=style)
        for reason in module.reasons:
            yield Text(f"    {_change(reason)}", style="dim")
    for what, changes in (("route", difference.routes), ("twin", difference.twins), ("runtime", difference.runtime)):
        for change in changes:
            sign, style = _sign(change)
            yield Text(f"{sign} {what} {_change(change)}", style=style)


def _sign(change: ValueChange) -> tuple[str, str]:
    if change.before is None:
        return _SIGNS["added"]
    return _SIGNS["removed"] if change.after is None else _CHANGED


def _change(change: ValueChange) -> str:
    if change.before is None:
        return f"{change.path}: {_value(change.after)}"
    if change.after is None:
        return f"{change.path} (was {_value(change.before)})"
    return f"{change.path}: {_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"
