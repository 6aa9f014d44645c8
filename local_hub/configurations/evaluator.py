"""Makes a device and its modules what the configurations that target them say, inside a write.

Only what differs is written: desired properties by the normal path (a new version, metadata, a push to a connected
device), the ``configurations`` map of the twin without a new version. A device that cannot be made so (a twin too
large, too many modules) stays whole as it was and is tried again when it is next judged.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from iot_core.configurations import Rules, TwinPlan
from iot_core.errors import HubError
from iot_core.identity import Identity
from local_hub.changes import Change, Core
from local_hub.configurations import rows as configuration_rows
from local_hub.configurations.edge_modules import modules_of, set_modules
from local_hub.configurations.rows import RulesReader
from local_hub.queries.light_documents import light_twin
from local_hub.registry.registry import Registry
from local_hub.rows import Record, load_record, update_configured
from local_hub.twins import changes as twin_changes
from local_hub.twins.changes import TwinChange
from local_hub.twins.twins import Twins

__all__ = ["Evaluator"]

_log = logging.getLogger(__name__)


class Evaluator:
    """Judges devices; everything here runs on the writer thread."""

    def __init__(self, core: Core, registry: Registry, twins: Twins) -> None:
        self._core = core
        self._registry = registry
        self._twins = twins
        self._rules = RulesReader()

    def next_devices(self, connection: sqlite3.Connection, count: int) -> Change[bool]:
        """Judge up to ``count`` devices of the queue; the result is False when it was empty."""
        device_ids = configuration_rows.queued(connection, count)
        rules, now = self._rules.rules(connection), self._core.clock.now()
        changes = [change for one in device_ids for change in self._judged(connection, rules, one, now)]
        configuration_rows.unqueue(connection, device_ids)
        return joined(changes, bool(device_ids))

    def _judged(
        self, connection: sqlite3.Connection, rules: Rules, device_id: str, now: float
    ) -> Sequence[Change[Any]]:
        """What follows for one device; nothing, and nothing is written, when a limit stands in the way."""
        connection.execute("SAVEPOINT device")
        try:
            return self._device(connection, rules, device_id, now)
        except HubError as error:
            connection.execute("ROLLBACK TO device")
            _log.warning("configurations cannot be applied to device %s: %s", device_id, error)
            return ()
        finally:
            connection.execute("RELEASE device")

    def _device(self, connection: sqlite3.Connection, rules: Rules, device_id: str, now: float) -> list[Change[Any]]:
        device = load_record(connection, Identity(device_id))
        if device is None:
            return []
        matches = rules.matches_of_device(light_twin(device), device.iot_edge)
        modules = modules_of(connection, device_id)
        changes: list[Change[Any]] = []
        named = rules.modules_named(matches.deployments)
        if named is not None:
            modules, changes = set_modules(connection, self._registry, device_id, modules, named)
        writes = [_change(rules, device, rules.plan("", matches.configurations), (), now)]
        for module_id, record in modules.items():
            plan = rules.plan(module_id, rules.matches_of_module(light_twin(record)), matches.deployments)
            writes.append(_change(rules, record, plan, matches.deployments, now))
        return [*changes, *self._written(connection, filter(None, writes))]

    def _written(self, connection: sqlite3.Connection, changes: Iterable[TwinChange]) -> list[Change[Any]]:
        made = list(changes)
        update_configured(connection, [change.record for change in made])
        return [self._twins.announced(change, "updateTwin") for change in made]


def _change(
    rules: Rules, record: Record, plan: TwinPlan, deployments: tuple[str, ...], now: float
) -> TwinChange | None:
    """The twin as the plan wants it; None when it is."""
    gone = rules.gone(record.identity.module_id or "", record.configurations, plan, deployments)
    patch = twin_changes.difference(record.desired.values, plan.values(record.desired.values, gone))
    if record.configurations != plan.statuses:
        record = replace(record, configurations=plan.statuses)
    elif not patch:
        return None
    if not patch:
        return TwinChange(record=record, touched=False)
    return twin_changes.patched(record, {"properties": {"desired": patch}}, None, now)


def joined(changes: Sequence[Change[Any]], result: bool) -> Change[bool]:
    """All that follows from several changes, in their order."""
    return Change(
        result=result,
        pushes=tuple(push for change in changes for push in change.pushes),
        events=tuple(event for change in changes for event in change.events),
        ended=tuple(identity for change in changes for identity in change.ended),
    )
