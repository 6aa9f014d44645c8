"""Import and export jobs (IoT Hub documentation, "Import and export IoT Hub device identities in bulk").

A job moves only as TRANSITIONS says. One that had not ended when the hub stopped goes on when it starts: an export from
its beginning, an import behind the last lines whose outcome was noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from collections.abc import Sequence

from iot_core import limits
from iot_core.errors import EdgeyardError, HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from local_hub.changes import Core
from local_hub.configurations.configurations import Configurations
from local_hub.registry.registry import Registry
from local_hub.transfer import rows as transfer_rows
from local_hub.transfer.blob_lines import LineWriter
from local_hub.transfer.container import READ, WRITE, ContainerError, Containers
from local_hub.transfer.exporting import export
from local_hub.transfer.importing import Importer, log_of
from local_hub.transfer.order import EXPORT, IMPORT_ERRORS, Order
from local_hub.transfer.rows import Transfer
from local_hub.twins.twins import Twins

__all__ = ["TRANSITIONS", "Transfers"]

TRANSITIONS = {
    "enqueued": ("running", "cancelled", "failed"),
    "running": ("completed", "cancelled", "failed"),
    "completed": (),
    "cancelled": (),
    "failed": (),
}
"""State → the states it may become."""

_log = logging.getLogger(__name__)


class Transfers:
    """Creates, tells of and cancels the jobs; one at a time is done. ``containers`` reaches their blobs."""

    def __init__(
        self, core: Core, registry: Registry, twins: Twins, configurations: Configurations, containers: Containers
    ) -> None:
        self._core = core
        self._configurations = configurations
        self._importer = Importer(registry, twins, configurations)
        self.containers = containers
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Forget jobs past their history of 30 days and go on with the one that had not ended."""
        horizon = self._core.clock.now() - limits.JOB_HISTORY_S
        await self._core.store.write(lambda connection: transfer_rows.forget_before(connection, horizon))
        for transfer in self._core.store.read(transfer_rows.select):
            if transfer.ended is None:
                self._task = asyncio.create_task(self._run(transfer))

    async def stop(self) -> None:
        """Let go of the job; the next start goes on with it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def create(self, body: JsonObject) -> JsonObject:
        """Begin a job and return it.

        HubError ArgumentInvalid, ManagedIdentityNotEnabled, BlobContainerValidationError when a container cannot be
        reached with its signature, JobQuotaExceeded while another job has not ended.
        """
        order = Order.parse(body)
        if order.source is not None:
            await self.containers.check(order.source, READ)
        await self.containers.check(order.target, WRITE)
        transfer = Transfer(job_id=str(uuid.uuid4()), order=order, started=self._core.clock.now())

        def work(connection: sqlite3.Connection) -> None:
            if transfer_rows.any_active(connection):
                raise hub_error("JobQuotaExceeded", "Job quota has been exceeded: one import or export at a time.")
            transfer_rows.insert(connection, transfer)

        await self._core.store.write(work)
        self._task = asyncio.create_task(self._run(transfer))
        return transfer.document()

    def get(self, job_id: str) -> JsonObject:
        """HubError JobNotFound."""
        return self._stored(job_id).document()

    def list(self) -> list[JsonObject]:
        """Every job of the last 30 days, the oldest first."""
        return [transfer.document() for transfer in self._core.store.read(transfer_rows.select)]

    async def cancel(self, job_id: str) -> None:
        """End a job; what an import has done stays. HubError JobNotFound; a job that had ended is left as it is."""
        if await self._end(self._stored(job_id), "cancelled") and self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def settled(self) -> None:
        """Return once no job runs."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, transfer: Transfer) -> None:
        try:
            await self._core.store.write(lambda connection: transfer_rows.set_running(connection, transfer.job_id))
            await (self._export(transfer) if transfer.order.type == EXPORT else self._import(transfer))
        except HubError as error:
            await self._end(transfer, "failed", f"ErrorCode:{error.name};{error.message}")
        except ContainerError as error:
            await self._end(transfer, "failed", f"{error}")
        except EdgeyardError as error:
            _log.exception("job %s failed", transfer.job_id)
            await self._end(transfer, "failed", f"{error}")
        else:
            await self._end(transfer, "completed")

    async def _export(self, transfer: Transfer) -> None:
        async def progress(percent: int) -> None:
            await self._note(transfer, percent, 0, ())

        container = self.containers.open(transfer.order.target)
        await export(transfer.order, container, self._core.store, self._configurations, progress)

    async def _import(self, transfer: Transfer) -> None:
        order = transfer.order
        source = self.containers.open(order.source or "")
        size = await source.size(order.source_blob)
        if size is None:
            raise ContainerError(f"there is no blob {order.source_blob} in the input container")

        async def report(done: int, errors: Sequence[JsonObject]) -> None:
            await self._note(transfer, min(99, 100 * done // max(size, 1)), done, log_of(errors))

        await self._importer.devices(source, order.source_blob, transfer.done, size, report)
        lines = self._core.store.read(lambda connection: transfer_rows.errors_of(connection, transfer.job_id))
        if order.with_configurations:
            length = await source.size(order.configurations_blob)
            if length is None:
                raise ContainerError(f"there is no blob {order.configurations_blob} in the input container")
            lines += log_of(await self._importer.configurations(source, order.configurations_blob, length))
        await self._write_log(order, lines)

    async def _write_log(self, order: Order, lines: Sequence[str]) -> None:
        """The log is there after every import, empty when nothing went wrong."""
        writer = LineWriter(self.containers.open(order.target), IMPORT_ERRORS)
        for line in lines:
            await writer.write(line.encode())
        await writer.close()

    async def _note(self, transfer: Transfer, percent: int, done: int, errors: Sequence[str]) -> None:
        await self._core.store.write(
            lambda connection: transfer_rows.set_progress(connection, transfer.job_id, percent, done, errors)
        )

    async def _end(self, transfer: Transfer, status: str, reason: str | None = None) -> bool:
        """Whether the job ended by this, and had not before."""
        now = self._core.clock.now()

        def work(connection: sqlite3.Connection) -> bool:
            found = transfer_rows.find(connection, transfer.job_id)
            if found is None or status not in TRANSITIONS[found.status]:
                return False
            transfer_rows.end(connection, found, status, now, reason)
            return True

        return await self._core.store.write(work)

    def _stored(self, job_id: str) -> Transfer:
        found = self._core.store.read(lambda connection: transfer_rows.find(connection, job_id))
        if found is None:
            raise hub_error("JobNotFound", f"Job {job_id[:100]} is not known.")
        return found
