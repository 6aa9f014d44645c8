"""The twin that a device begins with, in enrolments and in the answers of webhooks."""

from __future__ import annotations

from iot_core.dps.fields import object_of
from iot_core.json_types import JsonObject
from iot_core.twin import patch_tags, validate_section

__all__ = ["parse_initial_twin"]


def parse_initial_twin(body: JsonObject) -> JsonObject | None:
    """Tags and desired properties of ``initialTwin``; HubError BadRequest, TwinError for what no twin may hold."""
    twin = object_of(body, "initialTwin")
    if twin is None:
        return None
    tags = object_of(twin, "tags") or {}
    desired = object_of(object_of(twin, "properties") or {}, "desired") or {}
    own = {name: value for name, value in tags.items() if not name.startswith("$")}
    wanted = {name: value for name, value in desired.items() if not name.startswith("$")}
    patch_tags({}, own)
    validate_section("desired", wanted)
    return {"tags": own, "properties": {"desired": wanted}}
