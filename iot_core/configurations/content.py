"""Content of a configuration: settings for a twin's desired properties, by dotted path.

``{"deviceContent": {"properties.desired.fw": {"ver": "2"}}}``; ``moduleContent`` alike, and ``modulesContent`` with one
such object per module of an edge device. A setting replaces what is at its path; null removes it.

Source: IoT Hub documentation, "Automatic device and module management using the Azure portal" (structured content).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from iot_core.configurations.errors import ConfigurationContentError
from iot_core.errors import LayerError, ManifestError, TwinError
from iot_core.json_types import JsonObject
from iot_core.manifest import Deployment, modules_content
from iot_core.manifest.envelope import AGENT, DESIRED, desired_path
from iot_core.twin import validate_section

__all__ = [
    "KINDS",
    "Content",
    "agent_modules",
    "modules_named",
    "parse_content",
    "settings_of",
    "with_settings",
    "without_settings",
]

Kind = Literal["deviceContent", "moduleContent", "modulesContent"]
KINDS: tuple[Kind, ...] = ("deviceContent", "moduleContent", "modulesContent")

Setting = tuple[tuple[str, ...], Any]
"""A path below the desired properties, () for all of them, and the value there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What one configuration writes; ``sections`` is the object under the kind's name, as it was given."""

    kind: Kind
    sections: JsonObject

    @property
    def document(self) -> JsonObject:
        return {self.kind: self.sections}


def parse_content(value: Any) -> Content:
    """Read and check ``content``; raises ConfigurationContentError."""
    if not isinstance(value, Mapping):
        raise ConfigurationContentError("content is needed: an object with one of " + ", ".join(KINDS))
    given = [kind for kind in KINDS if value.get(kind)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ConfigurationContentError(f"content must hold exactly one of {', '.join(KINDS)}; it holds {found}")
    kind = given[0]
    if kind == "modulesContent":
        return Content(kind=kind, sections=_checked_modules(value))
    return Content(kind=kind, sections=_checked_sections(value[kind], kind))


def settings_of(sections: Mapping[str, Any]) -> list[Setting]:
    """The settings of one twin, the shorter paths first: the order in which they take effect."""
    settings = [(tuple(desired_path(key)), value) for key, value in sections.items()]
    return sorted(settings, key=lambda setting: len(setting[0]))


def with_settings(values: JsonObject, settings: list[Setting]) -> JsonObject:
    """Desired properties after settings, one after another; ``values`` stays as it is."""
    for path, value in settings:
        values = with_setting(values, path, value)
    return values


def with_setting(values: Any, path: tuple[str, ...], value: Any) -> JsonObject:
    """Desired properties with ``value`` at ``path``; None removes what is there, nulls inside a value are left out."""
    if not path:
        whole: JsonObject = _without_nulls(value or {})
        return whole
    result: JsonObject = dict(values) if isinstance(values, dict) else {}
    if len(path) > 1:
        if value is not None or isinstance(result.get(path[0]), dict):
            result[path[0]] = with_setting(result.get(path[0]), path[1:], value)
    elif value is None:
        result.pop(path[0], None)
    else:
        result[path[0]] = _without_nulls(value)
    return result


def without_settings(values: JsonObject, settings: list[Setting]) -> JsonObject:
    """Desired properties once those settings are taken back: what is at their paths goes, objects above it stay."""
    for path, value in settings:
        if path and value is not None:
            values = with_setting(values, path, None)
        elif not path:
            values = {key: item for key, item in values.items() if key not in (value or {})}
    return values


def _checked_sections(sections: Any, where: str) -> JsonObject:
    if not isinstance(sections, dict):
        raise ConfigurationContentError(f"{where} must be an object")
    for key, value in sections.items():
        if key != DESIRED and (not key.startswith(f"{DESIRED}.") or "" in desired_path(key)):
            raise ConfigurationContentError(f"{where}.{key}: must be '{DESIRED}' or '{DESIRED}.<path>'")
        if key == DESIRED and not isinstance(value, dict):
            raise ConfigurationContentError(f"{where}.{key}: must be an object")
        _check_values(tuple(desired_path(key)), value, f"{where}.{key}")
    return sections


def _check_values(path: tuple[str, ...], value: Any, where: str) -> None:
    document: Any = value
    for name in reversed(path):
        document = {name: document}
    try:
        validate_section("desired", document)
    except TwinError as error:
        raise ConfigurationContentError(f"{where}: {error}") from error


def _checked_modules(content: Mapping[str, Any]) -> JsonObject:
    """A deployment as IoT Edge would take it: $edgeAgent present, and a base or a layer in one piece."""
    try:
        modules = modules_content({"modulesContent": content["modulesContent"]})
        Deployment(name="content", priority=0, created=0, modules=modules).check()
    except (LayerError, ManifestError) as error:
        raise ConfigurationContentError(str(error).removeprefix("content.")) from error
    for module, sections in modules.items():
        _checked_sections(sections, f"modulesContent.{module}")
    return modules


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def agent_modules(desired: Mapping[str, Any]) -> set[str]:
    """Names of the modules that desired properties of $edgeAgent ask for."""
    modules = desired.get("modules")
    return set(modules) if isinstance(modules, dict) else set()


def modules_named(modules: Mapping[str, Any]) -> set[str]:
    """Names of the user modules that a deployment runs or writes to."""
    agent = with_settings({}, settings_of(modules.get(AGENT, {})))
    return {name for name in {*modules, *agent_modules(agent)} if not name.startswith("$")}
