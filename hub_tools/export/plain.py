"""A module as any container engine could run it, and what is left over of what only IoT Edge can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from hub_tools.manifests import Deployment, Module, secret
from hub_tools.manifests.secrets import SECRET
from iot_core.json_types import JsonObject

__all__ = ["TWIN_PATH", "Exported", "Options", "Plain", "edge_warnings", "plain_modules", "yaml_text"]

TWIN_FOLDER = "/etc/edgeyard"
TWIN_PATH = f"{TWIN_FOLDER}/twin.json"
"""Where a module that stands alone finds its desired properties (docs/modules.md, "What every module has")."""
STANDALONE = {"EDGEYARD_STANDALONE": "1", "EDGEYARD_TWIN": TWIN_PATH}
_SECRET_NAME = re.compile(r"(?i).*(?:key|password|passwd|pwd|secret|token|connection_?string)")
_NOT_NAME = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The text of a file, and what it does not say of the deployment, one line each."""

    text: str
    warnings: tuple[str, ...] = ()


class Options:
    """The createOptions of a module, taken out piece by piece, so that what nobody took can be named."""

    def __init__(self, document: JsonObject) -> None:
        self._left = deepcopy(document)

    def take(self, path: str, default: Any = None) -> Any:
        """The value at a dotted path; `default` where there is none or null."""
        *parents, name = path.split(".")
        place: Any = self._left
        for parent in parents:
            place = place.get(parent)
            if not isinstance(place, dict):
                return default
        value = place.pop(name, None)
        return default if value is None else value

    def left(self) -> list[str]:
        """The paths of all that is still there and says something."""
        return sorted(_paths(self._left, ""))


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and path in ("", "HostConfig"):
        for name, item in value.items():
            yield from _paths(item, f"{path}.{name}" if path else name)
    elif value:
        yield path


@dataclass(frozen=True, kw_only=True)
class Plain:
    """One module. `env` has references for secrets; `twin` are its desired properties, None where it reads none."""

    name: str
    image: str
    env: Mapping[str, str]
    options: Options
    twin: JsonObject | None
    module: Module

    @property
    def arguments(self) -> list[str]:
        """The texts of its entry point and command."""
        document = self.module.options.document
        parts = [document.get("Entrypoint"), document.get("Cmd")]
        return [str(text) for part in parts if part for text in ([part] if isinstance(part, str) else part)]


def plain_modules(deployment: Deployment, warnings: list[str]) -> list[Plain]:
    """The modules of a deployment. What looks like a secret in the open becomes a reference, which is said.

    A module that has desired properties or stands in a route speaks to IoT Edge; it is told to stand alone.
    """
    routed = {name for route in deployment.routes for name in re.findall(r"/modules/([^/\s*]+)/", route.text)}
    return [_plain(module, module.name in routed, warnings) for module in deployment.modules]


def _plain(module: Module, is_routed: bool, warnings: list[str]) -> Plain:
    speaks = is_routed or module.desired is not None
    options = Options(module.options.document)
    env = {**module.options.env, **{name: _text(value) for name, value in module.env.items()}}
    options.take("Env")
    for name, value in env.items():
        if value and not SECRET.search(value) and _SECRET_NAME.fullmatch(name):
            variable = _NOT_NAME.sub("_", f"{module.name}_{name}").upper()
            env[name] = secret(variable)
            warnings.append(f"{module.name}: {name} looks like a secret in the open: set {variable} to its value")
    for name in module.extra:
        warnings.append(f"{module.name}: {name} cannot be carried over")
    return Plain(
        name=module.name,
        image=module.image,
        env={**(STANDALONE if speaks else {}), **env},
        options=options,
        twin=(module.desired or {}) if speaks else None,
        module=module,
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def edge_warnings(deployment: Deployment) -> list[str]:
    """What no export carries over: the runtime, its routes and its store."""
    found = [
        f"route {route.name} is not carried over: there is no edge hub ({' '.join(route.text.split())})"
        for route in deployment.routes
    ]
    if found:
        found.append("messages that wait for IoT Hub are not kept, and twins do not change: modules stand alone")
    loose = sorted(set(deployment.twins))
    return [*found, *(f"desired properties of {name} are not carried over: there is no such module" for name in loose)]


class _Dumper(yaml.SafeDumper):
    """Writes what is the same twice twice, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def yaml_text(documents: list[JsonObject], warnings: list[str]) -> str:
    """YAML documents below a head that tells what they lack."""
    head = ["# Made by edgeyard export."]
    if warnings:
        head += ["# Not as on IoT Edge:", *(f"# - {warning}" for warning in warnings)]
    texts = [
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100) for document in documents
    ]
    return "\n".join(head) + "\n" + "---\n".join(texts)
