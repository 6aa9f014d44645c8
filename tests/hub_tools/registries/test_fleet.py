"""Which platforms the devices of a hub report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

from hub_tools.registries import fleet_platforms
from hub_tools.rest import RestHubService
from hub_tools.service import HubService


class Rows:
    """Answers a query with architectures."""

    def __init__(self, *architectures: str | None) -> None:
        self._architectures = architectures

    async def query(self, text: str) -> AsyncIterator[dict[str, Any]]:
        assert "'$edgeAgent'" in text
        for architecture in self._architectures:
            yield {} if architecture is None else {"architecture": architecture, "devices": 1}


async def test_architectures_of_agents_become_platforms() -> None:
    service = cast("HubService", Rows("x86_64", "aarch64", "amd64", "armv7l", "riscv64", None))
    assert await fleet_platforms(service) == {"linux/amd64", "linux/arm64", "linux/arm/v7"}


async def test_a_hub_without_edge_devices_has_no_platforms(service: RestHubService) -> None:
    assert await fleet_platforms(service) == frozenset()
