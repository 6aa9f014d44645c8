"""The digital twin of a device's row."""

from __future__ import annotations

from iot_core.json_types import JsonObject
from iot_core.plug_and_play import digital_twin
from local_hub.rows import Record

__all__ = ["digital_twin_of"]


def digital_twin_of(record: Record) -> JsonObject:
    """As the REST API prints it."""
    return digital_twin(record.identity.device_id, record.model_id, record.desired, record.reported)
