"""A digital twin as services read it, made of a device twin (IoT Plug and Play documentation, "Understand IoT Plug and
Play digital twins").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iot_core.json_types import JsonObject
from iot_core.plug_and_play.components import component_names, properties_of
from iot_core.twin import Section

__all__ = ["digital_twin"]

_ACK_NAMES = {"av": "ackVersion", "ac": "ackCode", "ad": "ackDescription"}
_ACK_MEMBERS = frozenset({"value", *_ACK_NAMES})


def digital_twin(digital_twin_id: str, model_id: str, desired: Section, reported: Section) -> JsonObject:
    """``{"$dtId", "<property>": value, "<component>": {…, "$metadata"}, "$metadata": {"$model", …}}``.

    A property has the value that the device reported; what was desired of it stands in ``$metadata``, and so does the
    acknowledgement. ``$model`` is "" for a device that announced no model.
    """
    components = component_names(desired.values, reported.values)
    values, metadata = _properties(_Level.of(desired, reported), components)
    for name in sorted(components):
        values[name] = _component(name, desired, reported)
    return {"$dtId": digital_twin_id, **values, "$metadata": {"$model": model_id, **metadata}}


def _component(name: str, desired: Section, reported: Section) -> JsonObject:
    values, metadata = _properties(_Level.of(desired, reported).below(name), set())
    return {**values, "$metadata": metadata}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Level:
    """The root, or a component, in both sections of a device twin."""

    desired: JsonObject
    desired_metadata: JsonObject
    reported: JsonObject
    reported_metadata: JsonObject

    @classmethod
    def of(cls, desired: Section, reported: Section) -> _Level:
        return cls(
            desired=desired.values,
            desired_metadata=desired.metadata,
            reported=reported.values,
            reported_metadata=reported.metadata,
        )

    def below(self, name: str) -> _Level:
        return _Level(
            desired=_object(self.desired.get(name)),
            desired_metadata=_object(self.desired_metadata.get(name)),
            reported=_object(self.reported.get(name)),
            reported_metadata=_object(self.reported_metadata.get(name)),
        )


def _properties(level: _Level, leave_out: set[str]) -> tuple[JsonObject, JsonObject]:
    """The values of one level, and what is known of each."""
    values: JsonObject = {}
    metadata: JsonObject = {}
    for name, value in properties_of(level.desired, leave_out):
        version = _object(level.desired_metadata.get(name)).get("$lastUpdatedVersion")
        metadata[name] = {"desiredValue": value, "desiredVersion": version}
    for name, value in properties_of(level.reported, leave_out):
        values[name], acknowledged = _reported(value)
        updated = _object(level.reported_metadata.get(name)).get("$lastUpdated")
        metadata[name] = {**metadata.get(name, {}), **acknowledged, "lastUpdateTime": updated}
    return values, metadata


def _reported(value: Any) -> tuple[Any, JsonObject]:
    """The value and its acknowledgement, which only a writable property has."""
    if isinstance(value, dict) and {"value", "ac"} <= value.keys() <= _ACK_MEMBERS:
        return value["value"], {long: value[short] for short, long in _ACK_NAMES.items() if short in value}
    return value, {}


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
