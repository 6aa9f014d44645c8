"""V08: names, how many modules there are, and what a twin takes.

Sources: IoT Edge documentation, "Limits and restrictions"; IoT Hub developer guide, "Understand and use device twins".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from iot_core import limits
from iot_core.manifest import reader
from iot_core.manifest.envelope import AGENT, DESIRED
from iot_core.manifest.validation.notes import Note, error
from iot_core.manifest.validation.reading import Reading, as_object

__all__ = ["names_and_limits"]

_MIN, _MAX = limits.TWIN_INTEGER_MIN, limits.TWIN_INTEGER_MAX
_BAD_KEY = re.compile(r"[\x00-\x1f\x7f-\x9f.$# ]")
_KEYS = f"Use no space, '.', '$', '#' or control character, and up to {limits.TWIN_KEY_BYTES} bytes"


def names_and_limits(reading: Reading) -> Iterator[Note]:
    """V08: names of modules, routes and variables, how many modules, and the limits of twins."""
    for entry in reading.user_modules:
        yield from _name(entry.name, reader.MODULE_NAME, entry.path, "letters, digits, _ and -")
    for route in reading.routes:
        yield from _name(route.name, reader.ROUTE_NAME, route.path, "any characters but . $ # and space")
    for entry in reading.modules:
        for name in as_object(entry.value.get("env")):
            rule = "any characters but + # $ . and white space"
            yield from _name(name, reader.ENV_NAME, f"{entry.path}.env", rule)
    count = len(reading.user_modules)
    if count > limits.MODULES_PER_DEPLOYMENT:
        path = f"modulesContent.{AGENT}.{DESIRED}.modules"
        message = f"{count} modules: a deployment may have {limits.MODULES_PER_DEPLOYMENT}"
        yield error(path, message, "Spread them over devices, or put several into one image")
    for part in reading.parts:
        yield from _twin_limits(part.value, part.path, len(part.where))
        size = _size(part.value)
        if size > limits.DESIRED_BYTES:
            message = f"{size} bytes: the desired properties of a module take up to {limits.DESIRED_BYTES}"
            yield error(part.path, message, "Shorten them; let modules fetch what is large")


def _name(name: str, pattern: re.Pattern[str], path: str, rule: str) -> Iterator[Note]:
    if pattern.fullmatch(name) is None:
        yield error(path, f"{name[:80]!r} is not a name", f"Use {rule}")


def _twin_limits(value: Any, path: str, depth: int) -> Iterator[Note]:
    """Keys, texts, numbers and nesting that no twin takes; what is nested too deep is not looked at further."""
    if isinstance(value, str):
        if (size := _bytes(value)) > limits.TWIN_STRING_BYTES:
            yield error(path, f"{size} bytes: a text in a twin has up to {limits.TWIN_STRING_BYTES}", "Split it up")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not _MIN <= value <= _MAX and not (isinstance(value, float) and math.isfinite(value)):
            yield error(path, "is no number that a twin stores exactly: ±2^52 for integers", "Write it as text")
    elif isinstance(value, dict | list) and depth > limits.TWIN_DEPTH + isinstance(value, list):
        yield error(path, f"is nested deeper than {limits.TWIN_DEPTH} levels", "Flatten it, or write it as JSON text")
    elif isinstance(value, dict):
        for key, item in value.items():
            if _BAD_KEY.search(key) or _bytes(key) > limits.TWIN_KEY_BYTES:
                yield error(path, f"key {key[:80]!r} is not one that a twin takes", _KEYS)
            yield from _twin_limits(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if item is None:
                yield error(f"{path}[{index}]", "null is not taken inside an array", "Remove it")
            yield from _twin_limits(item, f"{path}[{index}]", depth + 1)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _size(value: Any) -> int:
    """Bytes of keys and texts, 8 a number and 4 a boolean, counted without recursion: it may be nested at will."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            total += sum(_bytes(key) for key in item)
            rest += item.values()
        elif isinstance(item, list):
            rest += item
        elif isinstance(item, str):
            total += _bytes(item)
        elif item is not None:
            total += 4 if isinstance(item, bool) else 8
    return total
