"""The device on the hub that a registration is for: made, or brought up to date, inside one transaction.

Source: DPS documentation, "Reprovisioning concepts". With one hub there is nothing to migrate: a device that comes
again keeps its twin and gets the credentials it attested with, starts anew where the policy says to reset, and is left
as it is where the policy says never.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

from iot_core.clock import Clock
from iot_core.dps import Enrollment
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.changes import Change
from local_hub.registry.identity_body import DeviceBody
from local_hub.registry.registry import Registry
from local_hub.rows import Record, load_record
from local_hub.twins import changes as twin_changes
from local_hub.twins.twins import Twins

__all__ = ["Assignment"]


class Assignment:
    """Writes devices through the registry's own rules."""

    def __init__(self, registry: Registry, twins: Twins, clock: Clock) -> None:
        self._registry = registry
        self._twins = twins
        self._clock = clock

    def assign(
        self,
        connection: sqlite3.Connection,
        enrollment: Enrollment,
        identity: Identity,
        authentication: JsonObject,
        *,
        again: bool,
    ) -> Change[Any]:
        """Inside a write: the device as the enrolment wants it, ``again`` when it was assigned before.

        HubError when the registry does not take it.
        """
        record = load_record(connection, identity)
        if again and not enrollment.update_hub_assignment:
            return Change(result=record)
        if record is None:
            return self._create(connection, enrollment, identity, authentication)
        reset = again and not enrollment.migrate_device_data
        given = _body(record, authentication, enrollment.iot_edge if reset else record.iot_edge)
        updated = self._registry.update_device(connection, record, given) if _differs(record, given) else None
        twin = self._write_twin(connection, updated.result if updated else record, enrollment, again=again, reset=reset)
        return _both(updated, twin) if updated else twin

    def _create(
        self, connection: sqlite3.Connection, enrollment: Enrollment, identity: Identity, authentication: JsonObject
    ) -> Change[Any]:
        given = DeviceBody(
            status="enabled",
            status_reason=None,
            authentication=authentication,
            iot_edge=enrollment.iot_edge,
            device_scope=None,
            parent_scopes=None,
        )
        created = self._registry.create_device(connection, identity, given)
        return _both(created, self._write_twin(connection, created.result, enrollment, again=False, reset=False))

    def _write_twin(
        self, connection: sqlite3.Connection, record: Record, enrollment: Enrollment, *, again: bool, reset: bool
    ) -> Change[Record]:
        twin, now = enrollment.initial_twin or {}, self._clock.now()
        if reset:
            return self._twins.save(connection, twin_changes.replaced(record, twin, None, now), "replaceTwin")
        if again or not twin:
            return Change(result=record)
        return self._twins.save(connection, twin_changes.patched(record, twin, None, now), "updateTwin")


def _body(record: Record, authentication: JsonObject, iot_edge: bool) -> DeviceBody:
    return DeviceBody(
        status=record.status,
        status_reason=record.status_reason,
        authentication=authentication,
        iot_edge=iot_edge,
        device_scope=record.device_scope,
        parent_scopes=record.parent_scopes,
    )


def _differs(record: Record, given: DeviceBody) -> bool:
    return record.authentication != given.authentication or record.iot_edge != given.iot_edge


def _both(first: Change[Any], second: Change[Any]) -> Change[Any]:
    return replace(
        second,
        pushes=(*first.pushes, *second.pushes),
        events=(*first.events, *second.events),
        ended=(*first.ended, *second.ended),
    )
