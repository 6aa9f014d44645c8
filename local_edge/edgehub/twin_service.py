"""Twins between modules and the hub: reads through to the hub, answers from the copy while it is away.

Rules: IoT Edge documentation, "Understand extended offline capabilities", and the edge hub's twin manager: a desired
patch that does not follow on the known version is replaced by the difference to the whole twin; a reported patch is
merged, kept and sent at most once per period.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from iot_core.errors import EdgeyardError
from local_edge.difference import difference
from local_edge.edgehub.clients import Clients
from local_edge.edgehub.twins import TwinCopy, TwinStore
from local_edge.errors import TwinRefusedError, UpstreamError
from local_edge.upstream import UpstreamLink

__all__ = ["TwinService"]

REPORT_PERIOD_S = 5.0
"""Least time between two reported patches of a module (the edge hub's ReportedPropertiesSyncFrequencySecs)."""
ANSWER_WITHIN_S = 20.0
"""How long a module's twin get waits for a link that is just being made."""

_log = logging.getLogger(__name__)


class TwinService:
    """The twins of all modules.

    `link_of` gives a module's upstream link, `quiet` hears when nothing of a module is left to send.
    """

    def __init__(
        self,
        twins: TwinStore,
        clients: Clients,
        *,
        link_of: Callable[[str], UpstreamLink],
        quiet: Callable[[str], None],
    ) -> None:
        self._quiet = quiet
        self._twins = twins
        self._clients = clients
        self._link_of = link_of
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, module: str) -> dict[str, Any]:
        """The twin for the module itself: the hub's, or the kept copy (empty when none was ever seen)."""
        link = self._link_of(module)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await link.settled()
        try:
            copy = await self._refresh(module)
        except UpstreamError as error:
            _log.info("module %s gets the kept copy of its twin: %s", module, error)
            copy = self._twins.get(module)
        return copy.device_view()

    async def reported(self, module: str, patch: dict[str, Any]) -> None:
        """Keep a reported patch and have it sent; TwinError when it breaks the rules of twins."""
        await self._twins.put(module, self._twins.get(module).reported_patched(patch))
        self._start_sender(module)

    def link_up(self, module: str) -> None:
        """The module's link is up: catch up on desired properties, send what it reported meanwhile."""
        if self._twins.get(module).desired_version >= 0:
            self._spawn(self._catch_up(module))

    def desired_patch(self, module: str, patch: dict[str, Any]) -> None:
        """The hub sent a desired patch for the module."""
        self._spawn(self._take_desired(module, patch))

    def has_unsent(self, module: str) -> bool:
        """Whether the module reported something that the hub has not got."""
        return bool(self._twins.get(module).pending)

    async def forget(self, module: str) -> None:
        """The module's identity is gone."""
        await self._cancel(self._senders.pop(module, None))
        await self._twins.remove(module)

    async def close(self) -> None:
        for task in (*self._senders.values(), *self._tasks):
            await self._cancel(task)

    async def _refresh(self, module: str) -> TwinCopy:
        document = await self._link_of(module).get_twin()
        copy = self._twins.get(module).refreshed(document)
        await self._twins.put(module, copy)
        return copy

    async def _take_desired(self, module: str, patch: dict[str, Any]) -> None:
        version, known = int(patch["$version"]), self._twins.get(module)
        if version <= known.desired_version:
            return
        if version > known.desired_version + 1:
            await self._catch_up(module)
            return
        await self._twins.put(module, known.desired_patched(patch, version))
        self._push(module, patch, version)

    async def _catch_up(self, module: str) -> None:
        """Read the whole twin; the module gets the difference to what it may know."""
        before = self._twins.get(module)
        copy = await self._refresh(module)
        if before.desired_version >= 0 and copy.desired_version > before.desired_version:
            self._push(module, difference(before.desired, copy.desired), copy.desired_version)
        if copy.pending:
            self._start_sender(module)

    def _push(self, module: str, patch: dict[str, Any], version: int) -> None:
        client = self._clients.get(module)
        if client is not None:
            client.push_desired(patch, version)

    def _start_sender(self, module: str) -> None:
        task = self._senders.get(module)
        if task is None or task.done():
            self._senders[module] = asyncio.create_task(self._send_reported(module), name=f"reported {module}")

    async def _send_reported(self, module: str) -> None:
        """Send until the hub holds all that the module reported."""
        while self._twins.get(module).pending:
            link = self._link_of(module)
            await link.up()
            with contextlib.suppress(UpstreamError):
                await self._send_once(module, link)
            await asyncio.sleep(REPORT_PERIOD_S)
        self._quiet(module)

    async def _send_once(self, module: str, link: UpstreamLink) -> None:
        copy = self._twins.get(module)
        try:
            version = await link.patch_reported(copy.pending)
        except TwinRefusedError as error:
            _log.error("what module %s reported is dropped: %s", module, error)
            await self._twins.put(module, self._twins.get(module).reverted())
            return
        await self._twins.put(module, self._twins.get(module).sent(copy.reported, version))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except EdgeyardError as error:
        _log.info("twin: %s", error)
