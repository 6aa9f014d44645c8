"""How many devices there are: by the value of a tag, and group by group. The hub counts, no device is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hub_tools.groups import EVERY_DEVICE, Group
from hub_tools.service import HubService
from iot_core.errors import InputError

__all__ = ["Count", "count_by", "count_groups"]

_PATH = re.compile(r"(tags|properties\.(desired|reported))(\.[^\s.,()'\"\[\]]+)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """A value, or a group's name, and how many devices have it; the value is None for devices without."""

    value: Any
    devices: int


async def count_by(service: HubService, path: str, where: str = EVERY_DEVICE) -> list[Count]:
    """Devices by the value of a path such as ``tags.floor``, the most frequent first; InputError for no such path."""
    if _PATH.fullmatch(path) is None and path not in ("status", "connectionState"):
        raise InputError(f"--by {path}: name a tag as tags.floor, or properties.reported.NAME, status, connectionState")
    condition = "" if where == EVERY_DEVICE else f" WHERE {where}"
    text = f"SELECT {path} AS counted, COUNT() AS devices FROM devices{condition} GROUP BY {path}"
    counts = [Count(value=row.get("counted"), devices=int(row["devices"])) async for row in service.query(text)]
    return sorted(counts, key=lambda count: (-count.devices, str(count.value)))


async def count_groups(service: HubService, groups: Sequence[Group]) -> list[Count]:
    """How many devices each group has now, in the order given."""
    return [Count(value=group.name, devices=await _count(service, group.condition)) for group in groups]


async def _count(service: HubService, condition: str) -> int:
    where = "" if condition == EVERY_DEVICE else f" WHERE {condition}"
    rows = [row async for row in service.query(f"SELECT COUNT() AS devices FROM devices{where}")]
    return int(rows[0]["devices"]) if rows else 0
