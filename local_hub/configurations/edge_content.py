"""Deployment content written to one edge device at once (REST reference, "Configuration - Apply On Edge Device").

The content is absolute: module identities it names are made, those of earlier deployments that it does not name are
removed with their twins, and desired properties are written the normal way, so that connected modules hear of them. It
stays until a deployment that targets the device is evaluated for it again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from iot_core.configurations import settings_of, with_settings
from iot_core.configurations.content import agent_modules
from iot_core.errors import ManifestError
from iot_core.hub_errors import hub_error
from iot_core.identity import SYSTEM_MODULES, Identity
from iot_core.json_types import JsonObject
from iot_core.manifest import modules_content
from local_hub.changes import Change, Core
from local_hub.configurations import rows as configuration_rows
from local_hub.configurations.edge_modules import modules_of, set_modules
from local_hub.configurations.evaluator import joined
from local_hub.registry.registry import Registry
from local_hub.rows import Record, load_record
from local_hub.twins import changes as twin_changes
from local_hub.twins.twins import Twins

__all__ = ["EdgeContent"]

_AGENT = "$edgeAgent"


class EdgeContent:
    """Applies content, to each device one at a time."""

    def __init__(self, core: Core, registry: Registry, twins: Twins) -> None:
        self._core = core
        self._registry = registry
        self._twins = twins
        self._under_way: set[str] = set()

    async def apply(self, device_id: str, body: JsonObject) -> None:
        """Write ``{"modulesContent": {module: {"properties.desired[.path]": value}}}`` in one commit.

        HubError DeviceNotFound, ArgumentInvalid (no edge device, or what a twin may not hold),
        InvalidConfigurationContent, TooManyModulesOnDevice, ApplyConfigurationAlreadyInProgressOnDevice; then nothing
        is written.
        """
        content = _content_of(body)
        if device_id in self._under_way:
            text = f"Content is being applied to device {device_id} already."
            raise hub_error("ApplyConfigurationAlreadyInProgressOnDevice", text)
        self._under_way.add(device_id)
        try:
            await self._core.commit(lambda connection: self._applied(connection, device_id, content))
        finally:
            self._under_way.discard(device_id)

    def _applied(self, connection: sqlite3.Connection, device_id: str, content: JsonObject) -> Change[bool]:
        _check_device(load_record(connection, Identity(device_id)), device_id)
        queued = configuration_rows.is_queued(connection, device_id)
        have = modules_of(connection, device_id)
        named = _named(content, have[_AGENT].desired.values if _AGENT in have else {})
        modules, changes = set_modules(connection, self._registry, device_id, have, named)
        for name, sections in sorted(content.items()):
            if sections:
                changes.append(self._write(connection, modules[name], sections))
        if not queued:
            # Making modules asks for an evaluation, which would undo at once what is written here.
            configuration_rows.unqueue(connection, [device_id])
        return joined(changes, True)

    def _write(self, connection: sqlite3.Connection, record: Record, sections: JsonObject) -> Change[Any]:
        document = with_settings(record.desired.values, settings_of(sections))
        change = twin_changes.with_desired(record, document, self._core.clock.now())
        return self._twins.save(connection, change, "updateTwin")


def _check_device(device: Record | None, device_id: str) -> None:
    if device is None:
        raise hub_error("DeviceNotFound", f"Device {device_id} not registered.")
    if not device.iot_edge:
        raise hub_error("ArgumentInvalid", f"Not an Azure IoT Edge device: {device_id}.")


def _content_of(body: JsonObject) -> JsonObject:
    """HubError InvalidConfigurationContent unless the body holds modulesContent, alone and well formed."""
    others = [key for key in ("deviceContent", "moduleContent") if body.get(key)]
    if others:
        raise hub_error(
            "InvalidConfigurationContent", f"{others[0]} does not apply to an edge device; use modulesContent."
        )
    try:
        content = modules_content(body)
    except ManifestError as error:
        raise hub_error("InvalidConfigurationContent", f"{error}.") from error
    if _AGENT not in content:
        raise hub_error("InvalidConfigurationContent", f"modulesContent needs {_AGENT}, even if empty.")
    return content


def _named(content: JsonObject, agent_values: JsonObject) -> set[str]:
    """Modules with content, and those that the agent is to run once the content is written."""
    agent = with_settings(agent_values, settings_of(content[_AGENT]))
    return {*content, *agent_modules(agent), *SYSTEM_MODULES}
