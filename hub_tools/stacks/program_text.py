"""A deployment as the Python of a stack program: the way back from a configuration in the hub.

Values that look like secrets become references, so that the text can be kept anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

from hub_tools.manifests import CreateOptions, Deployment, Layer, Module
from hub_tools.manifests.secrets import SECRET, secret
from hub_tools.manifests.telling import holds_credentials, looks_random
from hub_tools.stacks.difference import TELLING
from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest import chunk_options, parse_options
from iot_core.manifest.createoptions import is_options_key

__all__ = ["program_text", "with_references"]

WIDTH = 110
_NOT_WRITTEN = frozenset({"source", "source_settings", "name"})
_NO_NAME = re.compile(r"[^A-Z0-9]+")


def program_text(item: Deployment | Layer) -> str:
    """The Python of a program that declares `item`."""
    function = "deployment" if isinstance(item, Deployment) else "layer"
    arguments = [_text(item.name, 8), *(f"{name}={_text(value, 8)}" for name, value in _given(item))]
    body = "".join(f"        {argument},\n" for argument in arguments)
    program = f"def program(stack):\n    stack.{function}(\n{body}    )\n"
    known = ("CreateOptions", "Module", "RegistryCredential", "Route", "secret")
    names = [each for each in known if re.search(rf"\b{each}\(", program)]
    imports = f"from hub_tools.manifests import {', '.join(names)}\n\n\n" if names else ""
    return imports + program


def with_references(content: JsonObject) -> tuple[JsonObject, dict[str, str]]:
    """The content with a reference for each value that looks like a secret, and those values by name."""
    values: dict[str, str] = {}
    return _Hiding(values).of(deepcopy(content), ()), values


class _Hiding:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def of(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            entry = self._settings(value, path)
            return {
                name: item if is_options_key(name) else self.of(item, (*path, name)) for name, item in entry.items()
            }
        if isinstance(value, list):
            return [self.of(item, path) for item in value]
        if isinstance(value, str) and value and _telling(path, value):
            return self._reference(path, value)
        return value

    def _settings(self, entry: JsonObject, path: tuple[str, ...]) -> JsonObject:
        """The settings of a module with what its createOptions hold hidden; whatever else as it is."""
        if not any(is_options_key(key) for key in entry):
            return entry
        try:
            options = parse_options(entry)
        except ManifestError:
            return entry
        hidden = {name: self._option(name, value, path) for name, value in options.items()}
        if hidden == options:
            return entry
        rest = {key: value for key, value in entry.items() if not is_options_key(key)}
        return {**rest, **chunk_options(hidden, max_chunks=limits.CREATE_OPTIONS_CHUNKS + len(entry))}

    def _option(self, name: str, value: Any, path: tuple[str, ...]) -> Any:
        if name == "Env" and isinstance(value, list):
            return [self._variable(str(each), path) for each in value]
        return self.of(value, (*path, name))

    def _variable(self, text: str, path: tuple[str, ...]) -> str:
        name, equals, value = text.partition("=")
        if equals and value and _telling((*path, name), value):
            return f"{name}={self._reference((*path, name), value)}"
        return text

    def _reference(self, path: tuple[str, ...], value: str) -> str:
        """Named by the end of its path ("SENSOR_API_KEY"), a longer one where the short stands for another value."""
        words = [word for word in path if word not in ("value", "env", "settings", "properties.desired")]
        for count in range(2, len(words) + 1):
            name = _NO_NAME.sub("_", "_".join(words[-count:]).upper()).strip("_")[:120]
            if self._values.setdefault(name, value) == value:
                return secret(name)
        name = f"SECRET_{len(self._values)}"
        self._values[name] = value
        return secret(name)


def _telling(path: tuple[str, ...], value: str) -> bool:
    if SECRET.search(value):
        return False
    name = path[-2] if path and path[-1] == "value" and len(path) > 1 else (path[-1] if path else "")
    return TELLING.search(name.rpartition(".")[2]) is not None or holds_credentials(value) or looks_random(value)


def _given(item: Any) -> Iterator[tuple[str, Any]]:
    """The fields that are not at their defaults."""
    for each in fields(item):
        value = getattr(item, each.name)
        if each.name not in _NOT_WRITTEN and _plain(value) != _plain(_default(each)):
            yield each.name, value


def _plain(value: Any) -> Any:
    """A module with its ports and GPUs among its other options, as one that was read has them."""
    return replace(value, create_options=value.options, ports=None, gpu=False) if isinstance(value, Module) else value


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def _text(value: Any, indent: int) -> str:
    if isinstance(value, CreateOptions):
        return f"CreateOptions({_text(value.document, indent)})"
    if is_dataclass(value) and not isinstance(value, type):
        named = [f"name={_text(value.name, indent)}"] if hasattr(value, "name") else []
        parts = [*named, *(f"{name}={_text(item, indent + 4)}" for name, item in _given(value))]
        return _joined(type(value).__name__ + "(", parts, ")", indent)
    if isinstance(value, dict):
        parts = [f"{_text(key, indent)}: {_text(item, indent + 4)}" for key, item in value.items()]
        return _joined("{", parts, "}", indent)
    if isinstance(value, list | tuple):
        return _joined("[", [_text(item, indent + 4) for item in value], "]", indent)
    if isinstance(value, str):
        whole = SECRET.fullmatch(value)
        return f"secret({json.dumps(whole[1])})" if whole else _quoted(value)
    return repr(value)


def _quoted(text: str) -> str:
    quoted = repr(text)
    plain = quoted.startswith("'") and '"' not in quoted and "\\" not in quoted
    return f'"{text}"' if plain else quoted


def _joined(opening: str, parts: list[str], closing: str, indent: int) -> str:
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    inner = " " * (indent + 4)
    return f"{opening}\n" + "".join(f"{inner}{part},\n" for part in parts) + " " * indent + closing
