"""The identity registry: devices and modules (IoT Hub developer guide, "Understand the identity registry").

A PUT without If-Match creates and is refused when the identity exists; with it, it replaces the whole identity. A
DELETE needs If-Match. Every write returns after its commit.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from iot_core import limits
from iot_core.clock import iso
from iot_core.errors import HubError, IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import SYSTEM_MODULES, Identity
from iot_core.json_types import JsonObject
from iot_core.twin import Section
from local_hub.changes import Change, Core
from local_hub.documents import Documents, identity_etag
from local_hub.event_shapes import EventShapes
from local_hub.preconditions import check_etag, wanted_etag
from local_hub.registry import bulk, edge_scopes, key_rotation
from local_hub.registry.identity_body import DeviceBody, ModuleBody, no_authentication, parse_device, parse_module
from local_hub.rows import Record, delete, insert, load_record, scan, update
from local_hub.twins.twins import Twins

__all__ = ["Registry"]

EDGE_MANAGED = "iotEdge"
# 100 ns ticks from year 1 to 1970, as in .NET, whose ticks the service's generation ids look like.
_TICKS_TO_1970 = 621_355_968_000_000_000
_TICKS_PER_SECOND = 10_000_000


class Registry:
    """Identities with their twins."""

    def __init__(self, core: Core, documents: Documents, shapes: EventShapes, twins: Twins) -> None:
        self._core = core
        self._documents = documents
        self._shapes = shapes
        self._twins = twins
        self._last_ticks = 0

    def get_device(self, device_id: str) -> JsonObject:
        """HubError DeviceNotFound."""
        return self._documents.identity(self._read_device(device_id))

    def list_devices(self, top: int) -> list[JsonObject]:
        """Up to ``top`` devices in the order of their ids."""

        def work(connection: sqlite3.Connection) -> list[Record]:
            return list(islice(scan(connection, "module_id = ''", ()), top))

        return [self._documents.identity(record) for record in self._core.store.read(work)]

    async def put_device(self, device_id: str, body: JsonObject, if_match: str | None) -> JsonObject:
        """Create or replace a device.

        HubError ArgumentInvalid, DeviceAlreadyExists (no If-Match), DeviceNotFound (If-Match), PreconditionFailed,
        InvalidDeviceScope.
        """
        identity = _identity(device_id, None)
        wanted = wanted_etag(if_match)
        given = parse_device(device_id, body)

        def work(connection: sqlite3.Connection) -> Change[Record]:
            record = load_record(connection, identity)
            if wanted is None:
                if record is not None:
                    raise _device_exists(device_id)
                return self.create_device(connection, identity, given)
            if record is None:
                raise _device_missing(device_id)
            check_etag(wanted, identity_etag(record.etag))
            return self.update_device(connection, record, given)

        return self._documents.identity(await self._core.commit(work))

    async def delete_device(self, device_id: str, if_match: str | None) -> None:
        """Delete a device with its twin and modules; HubError DeviceNotFound, PreconditionFailed (also without
        If-Match).
        """
        identity = _identity(device_id, None)
        wanted = _etag_for_delete(if_match)

        def work(connection: sqlite3.Connection) -> Change[None]:
            record = load_record(connection, identity)
            if record is None:
                raise _device_missing(device_id)
            check_etag(wanted, identity_etag(record.etag))
            gone = [record, *scan(connection, "device_id = ? AND module_id != ''", (device_id,))]
            delete(connection, identity)
            return self._gone(gone)

        await self._core.commit(work)

    def get_module(self, identity: Identity) -> JsonObject:
        """HubError ModuleNotFound; IotHubUnauthorizedAccess when the device is missing or disabled, as the service
        does.
        """

        def work(connection: sqlite3.Connection) -> Record:
            _usable_device(connection, identity.device_id)
            return _module(connection, identity)

        return self._documents.identity(self._core.store.read(work))

    def list_modules(self, device_id: str) -> list[JsonObject]:
        """The modules of a device, ``$edgeAgent`` and ``$edgeHub`` too; HubError IotHubUnauthorizedAccess as above."""

        def work(connection: sqlite3.Connection) -> list[Record]:
            _usable_device(connection, device_id)
            return list(scan(connection, "device_id = ? AND module_id != ''", (device_id,)))

        return [self._documents.identity(record) for record in self._core.store.read(work)]

    async def put_module(self, identity: Identity, body: JsonObject, if_match: str | None) -> JsonObject:
        """Create or replace a module.

        HubError ArgumentInvalid, ModuleAlreadyExistsOnDevice (no If-Match), ModuleNotFound (If-Match),
        PreconditionFailed, TooManyModulesOnDevice, IotHubUnauthorizedAccess as in ``get_module``.
        """
        wanted = wanted_etag(if_match)
        given = parse_module(identity.device_id, identity.module_id or "", body)

        def work(connection: sqlite3.Connection) -> Change[Record]:
            device = _usable_device(connection, identity.device_id)
            record = load_record(connection, identity)
            if wanted is None:
                if record is not None:
                    raise _module_exists(identity)
                _check_system_module(identity, device)
                return self.create_module(connection, identity, given)
            if record is None:
                raise _module_missing(identity)
            check_etag(wanted, identity_etag(record.etag))
            return self._update_module(connection, record, given)

        return self._documents.identity(await self._core.commit(work))

    async def delete_module(self, identity: Identity, if_match: str | None) -> None:
        """Delete a module with its twin; HubError as in ``put_module`` with If-Match, PreconditionFailed without."""
        wanted = _etag_for_delete(if_match)

        def work(connection: sqlite3.Connection) -> Change[None]:
            _usable_device(connection, identity.device_id)
            record = _module(connection, identity)
            check_etag(wanted, identity_etag(record.etag))
            return self.remove(connection, record)

        await self._core.commit(work)

    def statistics(self) -> JsonObject:
        """How many devices there are, enabled and disabled."""

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            counts = "SELECT count(*), coalesce(sum(status = 'enabled'), 0) FROM identities WHERE module_id = ''"
            total, enabled = connection.execute(counts).fetchone()
            return total, enabled

        total, enabled = self._core.store.read(work)
        return {
            "totalDeviceCount": total,
            "enabledDeviceCount": enabled,
            "disabledDeviceCount": total - enabled,
        }

    async def bulk(self, items: Sequence[Any]) -> JsonObject:
        """Up to 100 changes, each on its own: ``{"isSuccessful", "errors", "warnings"}``.

        HubError TooManyDevices, DeviceDefinedMultipleTimes, ArgumentInvalid for what makes the whole call wrong.
        """
        return await bulk.apply(self, self._twins, items)

    async def regenerate_keys(self, body: JsonObject) -> JsonObject:
        """New keys for many devices and modules; see ``local_hub.registry.key_rotation``."""
        return await key_rotation.rotate(self._core.store, body)

    def create_module(self, connection: sqlite3.Connection, identity: Identity, given: ModuleBody) -> Change[Record]:
        """Inside a write: add a module to an existing device; HubError TooManyModulesOnDevice."""
        count = "SELECT count(*) FROM identities WHERE device_id = ? AND module_id != ''"
        if connection.execute(count, (identity.device_id,)).fetchone()[0] >= limits.MODULES_PER_DEVICE:
            text = f"Device {identity.device_id} has {limits.MODULES_PER_DEVICE} modules already."
            raise hub_error("TooManyModulesOnDevice", text)
        record = replace(self._new(identity), authentication=given.authentication, managed_by=given.managed_by)
        insert(connection, record)
        return self._created([record])

    def remove(self, connection: sqlite3.Connection, record: Record) -> Change[None]:
        """Inside a write: remove one module."""
        delete(connection, record.identity)
        return self._gone([record])

    def create_device(self, connection: sqlite3.Connection, identity: Identity, given: DeviceBody) -> Change[Record]:
        """Inside a write: add a device that does not exist."""
        record = self._new(identity)
        record = edge_scopes.on_create(connection, _with_body(record, given), given)
        insert(connection, record)
        modules = self._add_system_modules(connection, record) if record.iot_edge else []
        return self._created([record, *modules])

    def update_device(self, connection: sqlite3.Connection, record: Record, given: DeviceBody) -> Change[Record]:
        """Inside a write: replace what callers may set on a device."""
        after = edge_scopes.on_update(connection, record, _with_body(record, given), given)
        if after.status != record.status:
            after = replace(after, status_updated=self._core.clock.now())
        after = replace(after, etag=record.etag + 1)
        update(connection, after)
        modules = self._toggle_edge(connection, record, after)
        ended = self._with_modules(connection, record.identity) if after.status == "disabled" else ()
        return Change(result=after, events=modules.events, ended=(*modules.ended, *ended))

    def _toggle_edge(self, connection: sqlite3.Connection, before: Record, after: Record) -> Change[Any]:
        """The system modules come and go with the capability."""
        if after.iot_edge and not before.iot_edge:
            return self._created(self._add_system_modules(connection, after))
        gone: list[Record] = []
        if before.iot_edge and not after.iot_edge:
            identities = [Identity(before.identity.device_id, name) for name in sorted(SYSTEM_MODULES)]
            found = (load_record(connection, identity) for identity in identities)
            gone = [record for record in found if record is not None]
        for record in gone:
            delete(connection, record.identity)
        return self._gone(gone)

    def _update_module(self, connection: sqlite3.Connection, record: Record, given: ModuleBody) -> Change[Record]:
        after = replace(record, authentication=given.authentication, managed_by=given.managed_by, etag=record.etag + 1)
        update(connection, after)
        return Change(result=after)

    def _add_system_modules(self, connection: sqlite3.Connection, device: Record) -> list[Record]:
        made = []
        for name in sorted(SYSTEM_MODULES):
            record = self._new(Identity(device.identity.device_id, name))
            record = replace(record, managed_by=EDGE_MANAGED, authentication=no_authentication())
            insert(connection, record)
            made.append(record)
        return made

    def _new(self, identity: Identity) -> Record:
        """A record with an empty twin and no keys yet."""
        now = iso(self._core.clock.now())
        return Record(
            identity=identity,
            generation_id=str(self._ticks()),
            # Any start does; a random one keeps the etag of a deleted identity from fitting its successor.
            etag=100_000_000 + secrets.randbelow(900_000_000),
            authentication=no_authentication(),
            tags={},
            desired=Section.new("desired", now),
            reported=Section.new("reported", now),
        )

    def _ticks(self) -> int:
        """The time in .NET ticks, never the same twice."""
        now = int(self._core.clock.now() * _TICKS_PER_SECOND) + _TICKS_TO_1970
        self._last_ticks = max(now, self._last_ticks + 1)
        return self._last_ticks

    def _with_modules(self, connection: sqlite3.Connection, device: Identity) -> tuple[Identity, ...]:
        names = connection.execute("SELECT module_id FROM identities WHERE device_id = ?", (device.device_id,))
        return tuple(Identity(device.device_id, name or None) for (name,) in names)

    def _created(self, records: list[Record]) -> Change[Record]:
        return Change(result=records[0], events=self._lifecycle(records, "createDeviceIdentity"))

    def _gone(self, records: list[Record]) -> Change[None]:
        ended = tuple(record.identity for record in records)
        return Change(result=None, events=self._lifecycle(records, "deleteDeviceIdentity"), ended=ended)

    def _lifecycle(self, records: list[Record], operation: str) -> tuple[JsonObject, ...]:
        now = self._core.clock.now()
        return tuple(self._shapes.lifecycle(record, operation, now) for record in records)

    def _read_device(self, device_id: str) -> Record:
        identity = _identity(device_id, None)
        record = self._core.store.read(lambda connection: load_record(connection, identity))
        if record is None:
            raise _device_missing(device_id)
        return record


def _with_body(record: Record, given: DeviceBody) -> Record:
    return replace(
        record,
        status=given.status,
        status_reason=given.status_reason,
        authentication=given.authentication,
        iot_edge=given.iot_edge,
    )


def _usable_device(connection: sqlite3.Connection, device_id: str) -> Record:
    """The device, enabled. Module calls on one that is missing or disabled are answered 401 (observed on the service,
    under SAS).
    """
    device = load_record(connection, _identity(device_id, None))
    if device is None or device.status != "enabled":
        raise hub_error("IotHubUnauthorizedAccess", f"Device {device_id} is not registered or is disabled.")
    return device


def _check_system_module(identity: Identity, device: Record) -> None:
    """Ids that start with $ are the hub's own, on IoT Edge devices."""
    if identity.module_id in SYSTEM_MODULES and not device.iot_edge:
        text = f"Module id {identity.module_id} is kept for IoT Edge devices; {device.identity} is none."
        raise hub_error("ArgumentInvalid", text)


def _module(connection: sqlite3.Connection, identity: Identity) -> Record:
    record = load_record(connection, identity)
    if record is None:
        raise _module_missing(identity)
    return record


def _etag_for_delete(if_match: str | None) -> str:
    wanted = wanted_etag(if_match)
    if wanted is None:
        raise hub_error("PreconditionFailed", "Etag missing: a delete needs If-Match.")
    return wanted


def _identity(device_id: str, module_id: str | None) -> Identity:
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise hub_error("ArgumentInvalid", str(error)) from error


def _device_missing(device_id: str) -> HubError:
    return hub_error("DeviceNotFound", f"Device {device_id} not registered.")


def _device_exists(device_id: str) -> HubError:
    return hub_error("DeviceAlreadyExists", f"A device with ID '{device_id}' is already registered.")


def _module_missing(identity: Identity) -> HubError:
    return hub_error("ModuleNotFound", f"Module {identity.module_id} on device {identity.device_id} not registered.")


def _module_exists(identity: Identity) -> HubError:
    text = f"Device {identity.device_id} already contains Module {identity.module_id}."
    return hub_error("ModuleAlreadyExistsOnDevice", text)
