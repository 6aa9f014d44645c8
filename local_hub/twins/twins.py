"""Twins: read, patched by services and devices, and queried (REST reference, "Get Twin", "Update Twin", "Query")."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.changes import Change, Core, Push
from local_hub.documents import Documents
from local_hub.event_shapes import EventShapes
from local_hub.events import Event
from local_hub.queries.queries import Page, Queries
from local_hub.rows import Record, key, load_record, update
from local_hub.twins import changes as twin_changes
from local_hub.twins.changes import TwinChange

__all__ = ["Page", "Twins", "not_found"]


class Twins:
    """Every write returns after its commit; connected devices hear of desired changes after it, in order."""

    def __init__(self, core: Core, documents: Documents, shapes: EventShapes, queries: Queries) -> None:
        self._core = core
        self._documents = documents
        self._shapes = shapes
        self._queries = queries

    def get(self, identity: Identity) -> JsonObject:
        """The full twin; HubError DeviceNotFound, for modules too."""
        return self._documents.twin(self._record(identity))

    def device_view(self, identity: Identity) -> JsonObject:
        """``{"desired": {…, "$version"}, "reported": {…, "$version"}}``, as the device reads it; HubError
        DeviceNotFound.
        """
        record = self._record(identity)
        return {"desired": record.desired.device_view(), "reported": record.reported.device_view()}

    async def patch(self, identity: Identity, body: JsonObject, if_match: str | None) -> JsonObject:
        """Merge tags and desired properties and return the full twin.

        HubError DeviceNotFound, PreconditionFailed, or ArgumentInvalid for what a twin may not hold.
        """
        now = self._core.clock.now()
        return await self.write(
            identity, "updateTwin", lambda record: twin_changes.patched(record, body, if_match, now)
        )

    async def replace(self, identity: Identity, body: JsonObject, if_match: str | None) -> JsonObject:
        """Replace tags and desired properties, empty where the body has none; returns and raises as ``patch``."""
        now = self._core.clock.now()
        return await self.write(
            identity, "replaceTwin", lambda record: twin_changes.replaced(record, body, if_match, now)
        )

    async def patch_reported(self, identity: Identity, patch: JsonObject, base_version: int | None) -> int:
        """Merge reported properties for the device itself; returns the new reported version.

        HubError DeviceNotFound, PreconditionFailed when the base version (here or as ``$version`` in the patch) is not
        the current one, or ArgumentInvalid.
        """
        now = self._core.clock.now()
        self._core.sessions.touch(identity)

        def work(connection: sqlite3.Connection) -> Change[Record]:
            record = stored(connection, identity)
            return self.save(connection, twin_changes.reported_patched(record, patch, base_version, now), "updateTwin")

        return (await self._core.commit(work)).reported.version

    async def announce_model(self, identity: Identity, model_id: str) -> None:
        """Write the model that a device named at log-in into its twin, where it stays; returns once it is on disk.

        No etag, version or event follows from it. HubError DeviceNotFound.
        """
        if self._record(identity).model_id == model_id:
            return
        statement = "UPDATE identities SET model_id = ? WHERE device_id = ? AND module_id = ?"
        await self._core.store.write(
            lambda connection: connection.execute(statement, (model_id, *key(identity))) and None
        )

    async def query(self, text: str, page_size: int, continuation: str | None) -> Page:
        """A page of a query's rows; runs in a reader thread. HubError ArgumentInvalid for a bad query or token."""
        return await self._queries.page(text, page_size, continuation)

    def save(self, connection: sqlite3.Connection, change: TwinChange, operation: str) -> Change[Record]:
        """Write a changed twin inside a transaction, and say what follows from it."""
        update(connection, change.record)
        return self.announced(change, operation)

    def announced(self, change: TwinChange, operation: str) -> Change[Record]:
        """What follows from a changed twin: a push to its device, and an event when anybody listens."""
        identity = change.record.identity
        push = (Push(identity=identity, patch=change.push),) if change.push is not None else ()
        return Change(result=change.record, pushes=push, events=tuple(self._events_of(change, operation)))

    def _events_of(self, change: TwinChange, operation: str) -> Iterator[Event]:
        now = self._core.clock.now()
        if change.touched and self._core.wants("twinChangeEvents"):
            yield self._shapes.twin_changed(change, operation, now)
        # They repeat what the other says: whoever only looks on is not told twice.
        if change.touched and self._core.routing.wants("digitalTwinChangeEvents"):
            event = self._shapes.digital_twin_changed(change, now)
            if event is not None:
                yield event

    async def write(self, identity: Identity, operation: str, change_of: Callable[[Record], TwinChange]) -> JsonObject:
        """Change a twin by a function of its record, and return the full twin; raises what that does, and HubError
        DeviceNotFound. ``operation`` names the change in events.
        """

        def work(connection: sqlite3.Connection) -> Change[Record]:
            return self.save(connection, change_of(stored(connection, identity)), operation)

        return self._documents.twin(await self._core.commit(work))

    def _record(self, identity: Identity) -> Record:
        return self._core.store.read(lambda connection: stored(connection, identity))


def stored(connection: sqlite3.Connection, identity: Identity) -> Record:
    """The identity's row; HubError DeviceNotFound."""
    record = load_record(connection, identity)
    if record is None:
        raise not_found(identity)
    return record


def not_found(identity: Identity) -> HubError:
    """404001, which the service also gives for the twins of modules."""
    if identity.module_id:
        return hub_error(
            "DeviceNotFound", f"Module {identity.module_id} on device {identity.device_id} not registered."
        )
    return hub_error("DeviceNotFound", f"Device {identity.device_id} not registered.")
