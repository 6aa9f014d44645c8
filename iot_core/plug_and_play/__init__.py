"""The conventions of IoT Plug and Play: how a digital twin is read off a device twin, and written to it."""

from iot_core.plug_and_play.changes import digital_twin_changes
from iot_core.plug_and_play.digital_twin import digital_twin
from iot_core.plug_and_play.json_patch import Operation, desired_patch, parse_operations

__all__ = ["Operation", "desired_patch", "digital_twin", "digital_twin_changes", "parse_operations"]
