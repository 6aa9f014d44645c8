"""The own twin of `$edgeHub`: takes over its desired properties, reports what became of them and who is connected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from iot_core.clock import Clock
from iot_core.errors import EdgeyardError
from iot_core.twin import merge_patch
from local_edge.agent.report import DesiredStatus
from local_edge.difference import difference
from local_edge.edgehub.reported import HubState, hub_reported
from local_edge.edgehub.routes import EdgeHubConfig, parse_config
from local_edge.edgehub.twins import TwinStore, without_reserved
from local_edge.errors import DeploymentError
from local_edge.upstream import UpstreamLink

__all__ = ["ConfigKeeper"]

OWN = "$edgeHub"
RETRY_S = 5.0

_log = logging.getLogger(__name__)


class ConfigKeeper:
    """Calls `apply` with every good configuration; a bad one is reported with 400 and the one before it stays."""

    def __init__(
        self,
        *,
        link: Callable[[], UpstreamLink],
        twins: TwinStore,
        clock: Clock,
        apply: Callable[[EdgeHubConfig], None],
    ) -> None:
        self._link = link
        self._twins = twins
        self._clock = clock
        self._apply = apply
        self._desired: dict[str, Any] | None = None
        self._reported: dict[str, Any] | None = None
        self._refresh = True
        self._wake = asyncio.Event()
        self.state = HubState(status=DesiredStatus(code=200, description=""))

    def load(self) -> None:
        """Start with the configuration kept on disk, if there is one."""
        copy = self._twins.get(OWN)
        if copy.desired_version > 0 and copy.desired:
            self._take({**copy.desired, "$version": copy.desired_version})

    def link_up(self) -> None:
        """The hub is there (again): desired patches may have been missed."""
        self._refresh = True
        self._wake.set()

    def desired_patch(self, patch: dict[str, Any]) -> None:
        """A desired patch of `$edgeHub`."""
        known = int((self._desired or {}).get("$version", 0))
        if self._desired is None or int(patch["$version"]) > known + 1:
            self._refresh = True
        elif int(patch["$version"]) == known + 1:
            self._take(merge_patch(self._desired, patch))
        self._wake.set()

    def saw(self, client: str, connected: bool) -> None:
        """A client connected or disconnected."""
        self.state.saw(client, connected, self._clock.now())
        self._wake.set()

    async def run(self) -> None:
        """Read when needed and report differences, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._round()
            except EdgeyardError as error:
                _log.info("the twin of %s waits: %s", OWN, error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._wake.wait()
                continue
            await self._wake.wait()

    async def _round(self) -> None:
        link = self._link()
        await link.up()
        if self._refresh:
            self._refresh = False
            twin = await link.get_twin()
            await self._twins.put(OWN, self._twins.get(OWN).refreshed(twin))
            self._reported = without_reserved(twin.get("reported") or {})
            self._take(dict(twin.get("desired") or {}))
        await self._report(link)

    def _take(self, desired: dict[str, Any]) -> None:
        version = int(desired.get("$version", 0))
        if self._desired is not None and version == self._desired.get("$version"):
            return
        self._desired = desired
        if not without_reserved(desired):
            return
        try:
            config = parse_config(desired)
        except DeploymentError as error:
            _log.error("configuration %d of %s is refused: %s", version, OWN, error)
            self.state.status = DesiredStatus(version=version, code=error.code, description=str(error))
            return
        self.state.status = DesiredStatus(version=version, code=200, description="")
        self._apply(config)

    async def _report(self, link: UpstreamLink) -> None:
        document = hub_reported(self.state)
        patch = difference(self._reported or {}, document)
        if patch:
            await link.patch_reported(patch)
            self._reported = document
