"""The outer form of a deployment: where its modules' desired properties stand.

    {"modulesContent": {"$edgeAgent": {"properties.desired": {…}}, "sim": {"properties.desired.rate": 5}}}

Source: IoT Edge documentation, "Learn how to deploy modules and establish routes in IoT Edge".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iot_core.errors import ManifestError
from iot_core.json_types import JsonObject

__all__ = ["AGENT", "DESIRED", "HUB", "desired_path", "is_base", "modules_content"]

AGENT = "$edgeAgent"
HUB = "$edgeHub"
DESIRED = "properties.desired"


def modules_content(document: Mapping[str, Any]) -> JsonObject:
    """The object with one key a module, out of {"modulesContent": …}, with or without {"content": …} around it.

    The old spelling "moduleContent" is read too. Raises ManifestError.
    """
    content = document.get("content", document)
    if not isinstance(content, Mapping):
        raise ManifestError("must be an object", path="content")
    key = "modulesContent" if "modulesContent" in content else "moduleContent"
    modules = content.get(key)
    if not isinstance(modules, dict):
        raise ManifestError("is missing or not an object: a deployment holds its modules in it", path="modulesContent")
    for module, sections in modules.items():
        _check_sections(sections, f"modulesContent.{module}")
    return modules


def desired_path(key: str) -> list[str]:
    """The path below the desired properties: "properties.desired.a.b" gives ["a", "b"], "properties.desired" []."""
    return key.removeprefix(f"{DESIRED}.").split(".") if key != DESIRED else []


def is_base(modules: Mapping[str, Any]) -> bool:
    """Whether a deployment is a base: its $edgeAgent has whole desired properties. All others are layers."""
    return DESIRED in modules.get(AGENT, {})


def _check_sections(sections: Any, path: str) -> None:
    if not isinstance(sections, dict):
        raise ManifestError("must be an object", path=path)
    if not isinstance(sections.get(DESIRED, {}), dict):
        raise ManifestError("must be an object", path=f"{path}.{DESIRED}")
    for key in sections:
        if key != DESIRED and (not key.startswith(f"{DESIRED}.") or "" in desired_path(key)):
            raise ManifestError(f"must be '{DESIRED}' or '{DESIRED}.<path>'", path=f"{path}.{key}")
