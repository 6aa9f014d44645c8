"""Carries configurations out: which devices differ from them is found in a reader thread, then those devices are judged
and written a few at a time, so that other writes get their turn.

A pass looks at every device: at the start, after each change of a configuration, and every five minutes of the hub's
clock. Between passes the devices that changed are judged at once. A cadence that is not immediate, as the real
service's, judges in passes only, and only they measure metrics.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress
from functools import partial

from iot_core.errors import EdgeyardError
from local_hub.changes import Core
from local_hub.configurations import rows as configuration_rows
from local_hub.configurations.cadence import Cadence
from local_hub.configurations.drift import drifted_devices
from local_hub.configurations.evaluator import Evaluator
from local_hub.configurations.metrics import measure
from local_hub.configurations.rows import Metrics, RulesReader
from local_hub.documents import Documents
from local_hub.queries.queries import Queries
from local_hub.timing import pause

__all__ = ["ConfigurationRunner"]

# Devices in one transaction: some 15 ms, which is what other writes may have to wait for.
DEVICES_PER_WRITE = 50
# Device ids added to the queue in one transaction.
QUEUED_PER_WRITE = 5_000

_log = logging.getLogger(__name__)


class ConfigurationRunner:
    """One task that sleeps while there is no configuration."""

    def __init__(
        self, core: Core, evaluator: Evaluator, documents: Documents, queries: Queries, cadence: Cadence
    ) -> None:
        self._core = core
        self._evaluator = evaluator
        self._documents = documents
        self._queries = queries
        self._cadence = cadence
        self._rules = RulesReader()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._pass_wanted = False
        self._active = False
        self._next_pass = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def immediate(self) -> bool:
        """Whether a change takes effect without waiting for a pass."""
        return self._cadence.immediate

    def start(self) -> None:
        """Begin with a pass."""
        self._active = self._core.store.read(configuration_rows.count) > 0
        self._core.watchers.append(self.device_changed)
        self._schedule()
        self.want_pass()
        self._task = asyncio.create_task(self._run(), name="configurations")

    async def stop(self) -> None:
        """Let go; the next start begins with a pass."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def configuration_changed(self, *, made: bool) -> None:
        """A configuration was written; a new one (``made``) is evaluated soon whatever the cadence."""
        self._active = True
        if made or self.immediate:
            self.want_pass()

    def want_pass(self) -> None:
        """Look at every device soon."""
        self._pass_wanted = True
        self._settled.clear()
        self._wake.set()

    def device_changed(self) -> None:
        """Something was committed that may have put a device into the queue."""
        if self._active and self.immediate:
            self._settled.clear()
            self._wake.set()

    async def settled(self) -> None:
        """Return once everything that was committed before this call has been judged."""
        await self._settled.wait()

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except EdgeyardError:
                _log.exception("the evaluation of configurations goes on with the next change or pass")
            if not self._wake.is_set():
                self._settled.set()
            await self._wait()

    async def _work(self) -> None:
        self._wake.clear()
        if self._pass_wanted:
            self._pass_wanted = False
            await self._pass()
        elif self.immediate:
            await self._empty_queue()

    async def _pass(self) -> None:
        self._schedule()
        await self._queue_drifted()
        await self._empty_queue()
        if not self.immediate:
            await self._measure()

    async def _queue_drifted(self) -> None:
        store = self._core.store

        def find(connection: sqlite3.Connection) -> list[str]:
            return drifted_devices(connection, self._rules.rules(connection), self._documents)

        found = await store.aread(find)
        for start in range(0, len(found), QUEUED_PER_WRITE):
            part = found[start : start + QUEUED_PER_WRITE]
            await store.write(partial(configuration_rows.queue, device_ids=part))

    async def _empty_queue(self) -> None:
        while self._core.store.read(lambda connection: configuration_rows.queued(connection, 1)):
            await self._core.commit(lambda connection: self._evaluator.next_devices(connection, DEVICES_PER_WRITE))

    async def _measure(self) -> None:
        def work(connection: sqlite3.Connection) -> list[tuple[str, Metrics]]:
            entries = configuration_rows.select(connection)
            return [(entry.id, measure(connection, entry, self._queries)) for entry in entries]

        results = await self._core.store.aread(work)
        await self._core.store.write(lambda connection: configuration_rows.set_results(connection, results))

    def _schedule(self) -> None:
        self._next_pass = self._core.clock.monotonic() + self._cadence.interval_s

    async def _wait(self) -> None:
        """Until woken or, while there are configurations, until the next pass is due."""
        while not self._wake.is_set():
            if self._active and self._core.clock.monotonic() >= self._next_pass:
                self.want_pass()
                return
            left = self._next_pass - self._core.clock.monotonic() if self._active else None
            await pause(self._core.clock, left, self._wake)
