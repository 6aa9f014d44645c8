"""The option names of `az iot hub`, taken beside our own: who has them in the fingers need not learn others.

They are translated before a command line is parsed, and are in no help. `--hub-name`, `-n`, `--login` and `-l` mean
`--hub` everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

from iot_core.errors import InputError

__all__ = ["like_az", "translate"]

_HUB = dict.fromkeys(("--hub-name", "-n", "--login", "-l"), "--hub")
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "device": ("--device-id", "-d"),
    "method": ("--method-name", "--mn"),
    "query": ("--query-command", "-q"),
    "data": ("--data", "--da"),
}
"""Argument of ours → the options that az has for it."""
_MODULE = ("--module-id", "-m")


def like_az(*arguments: str, options: Mapping[str, str] | None = None, module: bool = False) -> type[TyperCommand]:
    """The class of a command whose positional arguments, in their order, also come by az's options.

    `options` maps further options of az to ours; with `module`, `--module-id` makes DEVICE/MODULE of `--device-id`.
    """
    places = {name: place for place, argument in enumerate(arguments) for name in _ARGUMENTS[argument]}
    names = {**_HUB, **(options or {})}

    class CommandLikeAz(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, translate(args, places, names, module=module))

    return CommandLikeAz


def translate(
    args: Sequence[str], places: Mapping[str, int], names: Mapping[str, str], *, module: bool = False
) -> list[str]:
    """A command line with options of az as one with ours; InputError for one without its value."""
    found: dict[int, str] = {}
    module_id: str | None = None
    rest: list[str] = []
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word == "--":
            rest += [word, *words]
        elif name in places or (module and name in _MODULE):
            text = value if equals else next(words, None)
            if text is None:
                raise InputError(f"{name} needs a value.")
            if name in places:
                found[places[name]] = text
            else:
                module_id = text
        elif name in names:
            rest.append(f"{names[name]}{equals}{value}")
        else:
            rest.append(word)
    if module_id is not None:
        if 0 not in found:
            raise InputError("--module-id goes with --device-id; else write DEVICE/MODULE.")
        found[0] = f"{found[0]}/{module_id}"
    return _placed(found, rest)


def _placed(found: Mapping[int, str], rest: list[str]) -> list[str]:
    """Arguments that came by name, before those that did not when they are the first ones, else after them."""
    first = [found[place] for place in sorted(found) if all(earlier in found for earlier in range(place))]
    last = [found[place] for place in sorted(found) if not all(earlier in found for earlier in range(place))]
    return [*first, *rest, *last]
