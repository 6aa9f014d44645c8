"""The table image name → command of the process engine, and the placeholders in its commands.

    [engine.process.images]
    "edgeyard/scorer" = ["{python}", "-m", "modules.scorer", "--host", "{host}", "--port", "{port:5001/tcp}"]

An image is looked up without its tag or digest; `{python}` is the running interpreter, `{host}` the edge's address,
`{project}` the folder of the table's file, `{port:5001/tcp}` the host port of that container port.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_edge.errors import EdgeSettingsError, EngineError

__all__ = ["ImageTable", "image_name", "load_image_table"]

_PLACEHOLDER = re.compile(r"\{([a-z]+)(?::([^{}]*))?\}")
_PORT_TEXT = re.compile(r"(\d{1,5})(?:/(tcp|udp))?")


@dataclass(frozen=True, kw_only=True)
class ImageTable:
    """Commands by image name; `project` is the folder that relative things in the commands belong to."""

    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    project: Path = field(default_factory=Path.cwd)

    def command(self, image: str, *, host: str, ports: Mapping[str, int]) -> list[str]:
        """The command line for `image`; EngineError when the table has none or a placeholder is unknown."""
        values: dict[str, Callable[[str | None], str]] = {
            "python": lambda _: sys.executable,
            "host": lambda _: host,
            "project": lambda _: str(self.project),
            "port": lambda key: str(_host_port(key, ports)),
        }
        return [_fill(part, values, image) for part in self._parts(image)]

    def ports(self, image: str) -> tuple[str, ...]:
        """The container ports ("5001/tcp") that the command of `image` names."""
        found = [match[2] for part in self._parts(image) for match in _PLACEHOLDER.finditer(part) if match[1] == "port"]
        return tuple(_port_key(text) for text in found)

    def _parts(self, image: str) -> tuple[str, ...]:
        name = image_name(image)
        if name not in self.commands:
            raise EngineError(f"no command for image {name}: add it to [engine.process.images] in edgeyard.toml")
        return self.commands[name]


def image_name(image: str) -> str:
    """`registry:5000/team/scorer:1.0@sha256:…` without tag and digest: `registry:5000/team/scorer`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def load_image_table(path: Path) -> ImageTable:
    """The table in the TOML file at `path`; EdgeSettingsError when it cannot be read."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise EdgeSettingsError(f"the engine table {path} cannot be read: {error}") from None
    engine = _table(document.get("engine", {}), "engine", path)
    images = _table(_table(engine.get("process", {}), "engine.process", path).get("images", {}), "images", path)
    commands = {name: _command(name, parts, path) for name, parts in images.items()}
    return ImageTable(commands=commands, project=path.resolve().parent)


def _table(value: object, where: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise EdgeSettingsError(f"{where} in {path} must be a table")
    return value


def _command(name: str, parts: object, path: Path) -> tuple[str, ...]:
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise EdgeSettingsError(f"the command of image {name} in {path} must be a list of texts")
    return tuple(parts)


def _fill(part: str, values: Mapping[str, Callable[[str | None], str]], image: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise EngineError(f"the command of image {image} has an unknown placeholder {match[0]}")
        return values[match[1]](match[2])

    return _PLACEHOLDER.sub(replace, part)


def _host_port(key: str | None, ports: Mapping[str, int]) -> int:
    container = _port_key(key)
    return ports.get(container, int(container.partition("/")[0]))


def _port_key(text: str | None) -> str:
    match = _PORT_TEXT.fullmatch(text or "")
    if match is None:
        raise EngineError(f"{{port:{text}}} names no container port; write {{port:5001/tcp}}")
    return f"{int(match[1])}/{match[2] or 'tcp'}"
