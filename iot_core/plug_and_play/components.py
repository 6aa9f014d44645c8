"""What tells components from properties in a device twin (IoT Plug and Play documentation, "Conventions")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from iot_core.json_types import JsonObject

__all__ = ["COMPONENT", "MARKER", "component_names", "is_component", "properties_of"]

MARKER = "__t"
"""A member of every component, with the value ``c``."""
COMPONENT = "c"


def is_component(value: Any) -> bool:
    """Whether a value of a twin's section is a component."""
    return isinstance(value, dict) and value.get(MARKER) == COMPONENT


def component_names(*sections: JsonObject) -> set[str]:
    """The names that are components in at least one of the sections."""
    return {name for section in sections for name, value in section.items() if is_component(value)}


def properties_of(section: JsonObject, leave_out: set[str]) -> Iterator[tuple[str, Any]]:
    """The properties of a section or component, without its marker and the names to leave out."""
    for name, value in section.items():
        if name != MARKER and name not in leave_out:
            yield name, value
