"""V16: variables of a template that nobody replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from iot_core.manifest.createoptions import is_options_key
from iot_core.manifest.envelope import AGENT, HUB
from iot_core.manifest.validation.notes import Note, error, warning
from iot_core.manifest.validation.reading import DEPTH_MAX, Reading
from iot_core.manifest.variables import VARIABLE

__all__ = ["left_over_variables"]

_FIX = "Give the variable a value in the environment or .env, and generate the manifest again"
_SHELL = re.compile(r"\.(?:Cmd|Entrypoint|Healthcheck)(?:\.|\[|$)")
"""Where a shell in the container may be the one to replace it."""
_MEANT = frozenset({"$upstream", "$body", AGENT, HUB})
_CAPITALS = re.compile(r"\$[A-Z][A-Z0-9_]*")


def left_over_variables(reading: Reading) -> Iterator[Note]:
    """V16: ${…} anywhere, $NAME in capitals, and a value that is nothing but $name. Names in routes are their own."""
    for part in reading.parts:
        in_routes = part.module == HUB
        for text, path in _texts(_without_options(part.value), part.path, DEPTH_MAX):
            yield from _left_over(text, path, in_routes)
    for entry in reading.modules:
        for text, path in _texts(entry.options, entry.options_path, DEPTH_MAX):
            yield from _left_over(text, path, False)


def _left_over(text: str, path: str, in_routes: bool) -> Iterator[Note]:
    note = warning if _SHELL.search(path) else error
    for match in VARIABLE.finditer(text):
        name = match[0]
        forgotten = _CAPITALS.fullmatch(name) or name == text.strip()
        if name.startswith("${") or (forgotten and not in_routes and name not in _MEANT):
            yield note(path, f"{name[:60]} is left over", _FIX)


def _without_options(value: Any) -> Any:
    """The value without chunks of createOptions, whose variables may be cut in two: those are read once joined."""
    if not isinstance(value, dict):
        return value
    return {key: _without_options(item) for key, item in value.items() if not is_options_key(key)}


def _texts(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield value, path
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            if "$" in key:
                yield key, path
            yield from _texts(item, f"{path}.{key}", depth - 1)
    elif depth and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]", depth - 1)
