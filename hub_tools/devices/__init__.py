"""Many devices at once: read from and written to files, brought to what a file says, counted by their tags."""

from __future__ import annotations

from hub_tools.devices.bulk import BulkProblem, change_in_bulk
from hub_tools.devices.counts import Count, count_by, count_groups
from hub_tools.devices.plan import Action, ImportPlan, PlannedDevice, carry_out, plan_import
from hub_tools.devices.reading import DeviceFile, LineError, read_devices
from hub_tools.devices.record import DeviceRecord
from hub_tools.devices.writing import collect_records, write_devices

__all__ = [
    "Action",
    "BulkProblem",
    "Count",
    "DeviceFile",
    "DeviceRecord",
    "ImportPlan",
    "LineError",
    "PlannedDevice",
    "carry_out",
    "change_in_bulk",
    "collect_records",
    "count_by",
    "count_groups",
    "plan_import",
    "read_devices",
    "write_devices",
]
