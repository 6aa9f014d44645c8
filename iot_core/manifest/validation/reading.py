"""A deployment document read as far as it can be: whatever is wrong in it is left out, and noted.

Nothing here raises. The rules look at what was read, so that one mistake hides no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeVar

from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest.createoptions import parse_options
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, desired_path
from iot_core.manifest.validation.notes import Note, error
from iot_core.routing import ParsedRoute, Route, RouteSyntaxError, compile_route, parse_route

__all__ = ["Entry", "Kind", "Part", "Reading", "RouteEntry", "read_document"]

T = TypeVar("T")

Kind = Literal["base", "layer"]
"""A base stands for a whole device (a merged set of deployments too); a layer lies over one."""

DEPTH_MAX = 64
"""Levels that are looked at; far above the ten of a twin, and far below Python's limit of frames."""

ROUTES_KEPT = 4096
"""Texts of routes that are not compiled again: a preview checks the same ones in each class of devices."""

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})?", re.ASCII)
_USE_OBJECT = 'Write an object: {"modulesContent": {"$edgeAgent": {"properties.desired": {…}}, …}}'


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A module as $edgeAgent's desired properties hold it; `raw` is what stands there, an object or not."""

    name: str
    raw: Any
    path: str
    system: bool

    @cached_property
    def value(self) -> JsonObject:
        return as_object(self.raw)

    @cached_property
    def settings(self) -> JsonObject:
        return as_object(self.value.get("settings"))

    @cached_property
    def options(self) -> JsonObject:
        """The createOptions, {} where they cannot be read."""
        try:
            return parse_options(self.settings)
        except ManifestError:
            return {}

    @cached_property
    def host_config(self) -> JsonObject:
        return as_object(self.options.get("HostConfig"))

    @property
    def options_path(self) -> str:
        return f"{self.path}.settings.createOptions"

    @property
    def host_network(self) -> bool:
        return bool(self.host_config.get("NetworkMode") == "host")

    @property
    def runs(self) -> bool:
        return bool(self.value.get("status", "running") != "stopped")


@dataclass(frozen=True, kw_only=True)
class RouteEntry:
    """A route by name; `value` is what the document holds, `text` the route's text where there is one."""

    name: str
    value: Any
    path: str

    @cached_property
    def text(self) -> str | None:
        text = self.value.get("route") if isinstance(self.value, dict) else self.value
        return text if isinstance(text, str) and text.strip() else None

    @cached_property
    def parsed(self) -> ParsedRoute | RouteSyntaxError | None:
        return None if self.text is None else _parsed(self.text)

    @cached_property
    def compiled(self) -> Route | RouteSyntaxError | None:
        return None if self.text is None else _compiled(self.text)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A value that a deployment writes into a module's desired properties; an empty `where` is all of them."""

    module: str
    where: tuple[str, ...]
    value: Any

    @property
    def path(self) -> str:
        return ".".join((f"modulesContent.{self.module}.{DESIRED}", *self.where))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The document in the parts that rules look at.

    `elsewhere` are modules known to be in other deployments of the same devices, None when those are not known.
    `inputs` and `outputs` are those of modules, by module id, as far as they are known.
    """

    kind: Kind
    parts: tuple[Part, ...]
    named: frozenset[str]
    """Modules that modulesContent has a key for, whatever it holds."""
    faults: tuple[Note, ...]
    elsewhere: Collection[str] | None = ()
    inputs: Mapping[str, Collection[str]]
    outputs: Mapping[str, Collection[str]]

    @cached_property
    def agent(self) -> JsonObject:
        return self._whole(AGENT)

    @cached_property
    def hub(self) -> JsonObject:
        return self._whole(HUB)

    def _whole(self, module: str) -> JsonObject:
        return next((as_object(part.value) for part in self.parts if part.module == module and not part.where), {})

    @cached_property
    def agent_version(self) -> tuple[int, int] | None:
        return _version(self.agent)

    @cached_property
    def hub_version(self) -> tuple[int, int] | None:
        return _version(self.hub)

    @cached_property
    def modules(self) -> tuple[Entry, ...]:
        """All modules, those of the runtime first."""
        return (*self._entries("systemModules"), *self._entries("modules"))

    @property
    def user_modules(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.modules if not entry.system)

    @cached_property
    def routes(self) -> tuple[RouteEntry, ...]:
        return tuple(RouteEntry(name=name, value=value, path=path) for name, value, path in self._below(HUB, "routes"))

    @cached_property
    def module_names(self) -> frozenset[str]:
        return frozenset(entry.name for entry in self.user_modules) | frozenset(self.elsewhere or ())

    def _entries(self, section: str) -> Iterator[Entry]:
        for name, value, path in self._below(AGENT, section):
            yield Entry(name=name, raw=value, path=path, system=section == "systemModules")

    def _below(self, module: str, section: str) -> Iterator[tuple[str, Any, str]]:
        """Name, value and path of what stands in a section, as a base writes it or part by part as a layer does.

        A layer's null takes something away, so it stands for nothing here.
        """
        for part in self.parts:
            if part.module != module:
                continue
            if not part.where:
                for name, value in as_object(as_object(part.value).get(section)).items():
                    yield name, value, f"{part.path}.{section}.{name}"
            elif part.where[:1] == (section,) and len(part.where) == 2 and part.value is not None:
                yield part.where[1], part.value, part.path


def as_object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def read_document(
    document: Any,
    *,
    kind: Kind | None = None,
    elsewhere: Collection[str] | None = (),
    inputs: Mapping[str, Collection[str]] | None = None,
    outputs: Mapping[str, Collection[str]] | None = None,
) -> Reading:
    """Reads what there is. Without `kind` a document is a base unless it is written as a layer."""
    faults: list[Note] = []
    modules = _modules(document, faults)
    parts = tuple(_parts(modules, faults))
    return Reading(
        kind=kind or _kind(modules, parts),
        parts=parts,
        named=frozenset(modules),
        faults=tuple(faults),
        elsewhere=elsewhere,
        inputs=inputs or {},
        outputs=outputs or {},
    )


def _modules(document: Any, faults: list[Note]) -> JsonObject:
    if not isinstance(document, dict):
        faults.append(error("document", "is not an object", _USE_OBJECT))
        return {}
    content = document.get("content", document)
    if not isinstance(content, dict):
        faults.append(error("content", "is not an object", _USE_OBJECT))
        return {}
    modules = content.get("modulesContent" if "modulesContent" in content else "moduleContent")
    if not isinstance(modules, dict):
        faults.append(error("modulesContent", "is missing or not an object", _USE_OBJECT))
        return {}
    return modules


def _parts(modules: JsonObject, faults: list[Note]) -> Iterator[Part]:
    for module, sections in modules.items():
        path = f"modulesContent.{module}"
        if not isinstance(sections, dict):
            faults.append(error(path, "is not an object", f'Write {{"{DESIRED}": {{…}}}}'))
            continue
        for key, value in sections.items():
            if key == DESIRED and not isinstance(value, dict):
                faults.append(error(f"{path}.{key}", "is not an object", "Write the desired properties as an object"))
            elif key == DESIRED:
                yield Part(module=module, where=(), value=_pruned(value, DEPTH_MAX))
            elif key.startswith(f"{DESIRED}.") and "" not in desired_path(key):
                yield Part(module=module, where=tuple(desired_path(key)), value=_pruned(value, DEPTH_MAX))
            else:
                fix = f"Use '{DESIRED}', or '{DESIRED}.<path>' in a layer"
                faults.append(error(f"{path}.{key}", "is no key that a deployment may have", fix))


def _pruned(value: Any, levels: int) -> Any:
    """The value without what is nested deeper."""
    if isinstance(value, dict):
        return {key: _pruned(item, levels - 1) for key, item in value.items()} if levels else {}
    if isinstance(value, list):
        return [_pruned(item, levels - 1) for item in value] if levels else []
    return value


def _kind(modules: JsonObject, parts: tuple[Part, ...]) -> Kind:
    agent = modules.get(AGENT)
    if isinstance(agent, dict) and DESIRED in agent:
        return "base"
    return "layer" if AGENT in modules or any(part.where for part in parts) else "base"


def _version(desired: JsonObject) -> tuple[int, int] | None:
    match = _VERSION.fullmatch(version) if isinstance(version := desired.get("schemaVersion"), str) else None
    return (int(match[1]), int(match[2])) if match else None


@lru_cache(maxsize=ROUTES_KEPT)
def _parsed(text: str) -> ParsedRoute | RouteSyntaxError:
    return _attempt(parse_route, text)


@lru_cache(maxsize=ROUTES_KEPT)
def _compiled(text: str) -> Route | RouteSyntaxError:
    return _attempt(compile_route, text)


def _attempt(read: Callable[[str], T], text: str) -> T | RouteSyntaxError:
    try:
        return read(text)
    except RouteSyntaxError as refused:
        return refused
