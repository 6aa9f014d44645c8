"""The platforms of the edge devices of a hub, as their agents report them.

Source: IoT Edge documentation, "Properties of the IoT Edge agent and IoT Edge hub module twins" (reported properties,
runtime.platform).
"""

from __future__ import annotations

from hub_tools.service import HubService

__all__ = ["fleet_platforms"]

_ARCHITECTURE = "properties.reported.runtime.platform.architecture"
_QUERY = (
    f"SELECT {_ARCHITECTURE} AS architecture, COUNT() AS devices FROM devices.modules "
    f"WHERE moduleId = '$edgeAgent' GROUP BY {_ARCHITECTURE}"
)
_PLATFORMS = {
    "x86_64": "linux/amd64",
    "amd64": "linux/amd64",
    "aarch64": "linux/arm64",
    "arm64": "linux/arm64",
    "armv7l": "linux/arm/v7",
    "arm32v7": "linux/arm/v7",
}


async def fleet_platforms(service: HubService) -> frozenset[str]:
    """Every platform ("linux/arm64") that an edge device of the hub reports, in one query; unknown ones are left out.

    Raises what the service raises.
    """
    names = [row.get("architecture") async for row in service.query(_QUERY)]
    return frozenset(_PLATFORMS[name] for name in names if name in _PLATFORMS)
