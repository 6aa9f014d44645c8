"""deployment.template.json → a deployment manifest, as the IoT Edge development tools make it.

Variables are replaced in the text before it is read as JSON, so a value may stand without quotes. Then images of the
user's modules that are a placeholder get their tag, createOptions become chunks of text, and the template's mark goes.
Source: the IoT Edge development tools (iotedgedev).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from iot_core import limits
from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject
from iot_core.manifest.createoptions import chunk_options, is_options_key, join_options
from iot_core.manifest.envelope import AGENT, DESIRED, HUB, desired_path, modules_content
from iot_core.manifest.variables import VARIABLE, expand_variables

__all__ = ["Expansion", "expand_template", "try_template"]

SCHEMA_MARK = "$schema-template"
MAX_TEMPLATE_CHARACTERS = 4_000_000
"""Refused before reading; the desired properties of a full deployment take under 100,000."""

_ROUTES = f"{HUB}.{DESIRED}.routes"
_RUNTIME_NAMES = frozenset({AGENT, HUB, "$upstream", "$schema"})
"""Names with $ that mean something to the IoT Edge runtime, so they are no forgotten variables."""


class _Module(NamedTuple):
    """A module object in the template: which section it stands in, the object, and its path."""

    section: str
    owner: JsonObject
    path: str

    @property
    def settings(self) -> JsonObject:
        settings: JsonObject = self.owner["settings"]
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Expansion:
    """A template expanded as far as it goes: `left_over` are the names that nothing stands for, each with the first
    path where it is, `refused` what else keeps it from being a manifest.
    """

    document: JsonObject
    left_over: Mapping[str, str]
    refused: tuple[ManifestError, ...]


def expand_template(
    text: str,
    *,
    variables: Mapping[str, str],
    images: Mapping[str, str],
    max_chunks: int = limits.CREATE_OPTIONS_CHUNKS,
) -> JsonObject:
    """The manifest that a template's text stands for.

    `images` maps a whole placeholder, "${MODULES.filter}" or "${MODULEDIR<../filter>.amd64}", to an image with its tag
    (see `module_images`). Raises ManifestError for text that is not JSON once expanded, for createOptions that are too
    long, and for every ${…} or $NAME that neither mapping holds. Routes may name $upstream, $body and the like.
    """
    expansion = try_template(text, variables=variables, images=images, max_chunks=max_chunks)
    if expansion.left_over:
        names, path = ", ".join(expansion.left_over), next(iter(expansion.left_over.values()))
        remedy = "give the variable a value (in the environment or .env) or the module an image"
        raise ManifestError(f"{names} is left over: {remedy}", path=path)
    for error in expansion.refused:
        raise error
    return expansion.document


def try_template(
    text: str,
    *,
    variables: Mapping[str, str],
    images: Mapping[str, str],
    max_chunks: int = limits.CREATE_OPTIONS_CHUNKS,
) -> Expansion:
    """The same, with everything that is wrong in place of the first; raises only for text that is not JSON."""
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise ManifestError(f"the template is longer than {MAX_TEMPLATE_CHARACTERS} characters")
    expanded = expand_variables(text, variables)
    document = _loads(expanded.text)
    document.pop(SCHEMA_MARK, None)
    refused: list[ManifestError] = []
    modules = _found_modules(document, refused)
    for module in modules:
        if module.section == "modules":
            _place_image(module.settings, images)
    # Before chunking, which could cut a forgotten variable in two.
    left_over = _left_over(document, expanded.unresolved)
    for module in modules:
        try:
            module.owner["settings"] = _with_chunks(module.settings, max_chunks, f"{module.path}.settings")
        except ManifestError as error:
            refused.append(error)
    return Expansion(document=document, left_over=left_over, refused=tuple(refused))


def _loads(text: str) -> JsonObject:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        name = VARIABLE.match(text, error.pos)
        place = f"line {error.lineno}, column {error.colno}"
        why = f"{name[0]} is not defined ({place})" if name else f"{error.msg} ({place})"
        raise ManifestError(f"the template is not JSON once its variables are replaced: {why}") from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the template is not JSON once its variables are replaced: {error}") from None
    if not isinstance(document, dict):
        raise ManifestError("the template must be a JSON object")
    return document


def _found_modules(document: JsonObject, refused: list[ManifestError]) -> list[_Module]:
    try:
        return list(_modules(document))
    except ManifestError as error:
        refused.append(error)
        return []


def _modules(document: JsonObject) -> Iterator[_Module]:
    """Each module in $edgeAgent that has settings, of a base or of a layer."""
    for key, value in modules_content(document).get(AGENT, {}).items():
        where = f"modulesContent.{AGENT}.{key}"
        match desired_path(key):
            case []:
                for section in ("modules", "systemModules"):
                    for name, module in _items(value.get(section)):
                        yield from _module(section, module, f"{where}.{section}.{name}")
            case ["modules", _]:
                yield from _module("modules", value, where)


def _module(section: str, module: Any, path: str) -> Iterator[_Module]:
    if isinstance(module, dict) and isinstance(module.get("settings"), dict):
        yield _Module(section, module, path)


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _place_image(settings: JsonObject, images: Mapping[str, str]) -> None:
    image = settings.get("image")
    if isinstance(image, str):
        settings["image"] = images.get(image.strip(), image)


def _with_chunks(settings: JsonObject, max_chunks: int, path: str) -> JsonObject:
    """The settings with createOptions, an object or its text, as chunks."""
    rest = {key: value for key, value in settings.items() if not is_options_key(key)}
    if len(rest) == len(settings):
        return settings
    options = settings.get("createOptions")
    whole = options if isinstance(options, dict) else join_options(settings, path=path)
    return {**rest, **chunk_options(whole, max_chunks=max_chunks, path=f"{path}.createOptions")}


def _left_over(document: JsonObject, unresolved: frozenset[str]) -> dict[str, str]:
    left: dict[str, str] = {}
    for text, path in _texts(document, ""):
        for match in VARIABLE.finditer(text):
            name = match[0]
            in_route = _ROUTES in path and not name.startswith("${")
            if name in unresolved and name not in _RUNTIME_NAMES and not in_route:
                left.setdefault(name, path)
    return left


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every key and text in the document with the path where it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}.{key}" if path else key
            yield key, where
            yield from _texts(item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield value, path
