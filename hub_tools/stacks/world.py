"""The hub as a preview sees it: its configurations, and the edge devices with what conditions read of their twins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hub_tools.service import HubService
from hub_tools.stacks.ownership import is_lease
from iot_core.configurations import compile_target
from iot_core.json_types import JsonObject

__all__ = ["EDGE_DEVICES", "World", "read_world"]

EDGE_DEVICES = "capabilities.iotEdge = true"
PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class World:
    """What was there at one time, without leases; `twins` are those of edge devices, `fetch_s` is how long it took to
    ask.
    """

    host_name: str
    configurations: tuple[JsonObject, ...]
    twins: tuple[JsonObject, ...]
    fetch_s: float = 0.0


async def read_world(
    service: HubService, conditions: Iterable[str], *, on_devices: Callable[[int], None] = lambda count: None
) -> World:
    """Ask the hub; `conditions` are the target conditions to come, which say what has to be read of the twins.

    `on_devices` is told how many are there, page by page.
    """
    started = time.monotonic()
    configurations = [item for item in await service.list_configurations() if not is_lease(item)]
    present = [str(item.get("targetCondition") or "") for item in configurations]
    reported = any(compile_target(condition).reads_reported for condition in (*conditions, *present))
    columns = "deviceId, tags, properties" if reported else "deviceId, tags"
    query = f"SELECT {columns} FROM devices WHERE {EDGE_DEVICES}"
    twins: list[JsonObject] = []
    async for page in service.query_pages(query, page_size=PAGE):
        twins += page.rows
        on_devices(len(twins))
    return World(
        host_name=service.host_name,
        configurations=tuple(configurations),
        twins=tuple(twins),
        fetch_s=time.monotonic() - started,
    )
