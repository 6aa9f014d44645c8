"""Deployment content written to one edge device at once (REST reference, "Configuration - Apply On Edge Device").

The content is absolute: module identities it names are made, those of earlier deployments that it does not name are
removed with their twins, and desired properties are written the normal way, so that connected modules hear of them.
"""

from __future__ import annotations

import sqlite3
from copy import deepcopy
from typing import Any

from iot_core.errors import IdentityError, ManifestError
from iot_core.hub_errors import hub_error
from iot_core.identity import SYSTEM_MODULES, Identity
from iot_core.json_types import JsonObject
from iot_core.manifest import modules_content
from local_hub import twin_changes
from local_hub.changes import Change, Core
from local_hub.identity_body import ModuleBody, no_authentication
from local_hub.registry import EDGE_MANAGED, Registry
from local_hub.rows import Record, load_record, scan
from local_hub.twins import Twins

__all__ = ["Configurations", "desired_after"]

_AGENT = "$edgeAgent"
_DESIRED = "properties.desired"


class Configurations:
    """Applies content; automatic configurations are not built."""

    def __init__(self, core: Core, registry: Registry, twins: Twins) -> None:
        self._core = core
        self._registry = registry
        self._twins = twins

    async def apply_content(self, device_id: str, body: JsonObject) -> None:
        """Write ``{"modulesContent": {module: {"properties.desired[.path]": value}}}`` in one commit.

        HubError DeviceNotFound, ArgumentInvalid (no edge device, or what a twin may not hold),
        InvalidConfigurationContent, TooManyModulesOnDevice; then nothing is written.
        """
        content = _content_of(body)

        def work(connection: sqlite3.Connection) -> Change[None]:
            device = load_record(connection, Identity(device_id))
            if device is None:
                raise hub_error("DeviceNotFound", f"Device {device_id} not registered.")
            if not device.iot_edge:
                raise hub_error("ArgumentInvalid", f"Not an Azure IoT Edge device: {device_id}.")
            return _joined(self._applied(connection, device_id, content))

        await self._core.commit(work)

    def _applied(self, connection: sqlite3.Connection, device_id: str, content: JsonObject) -> list[Change[Any]]:
        have = {record.identity.module_id: record for record in _modules(connection, device_id)}
        named = _named(content, have[_AGENT].desired.values if _AGENT in have else {})
        changes: list[Change[Any]] = [
            self._registry.remove(connection, record)
            for name, record in have.items()
            if name not in named and (record.managed_by or "").lower() == EDGE_MANAGED.lower()
        ]
        for name in sorted(named):
            record = have.get(name)
            if record is None:
                made = self._registry.create_module(connection, _module(device_id, name), _managed())
                changes.append(made)
                record = made.result
            if content.get(name):
                changes.append(self._write(connection, record, content[name]))
        return changes

    def _write(self, connection: sqlite3.Connection, record: Record, sections: JsonObject) -> Change[Record]:
        document = desired_after(record.desired.values, sections)
        change = twin_changes.with_desired(record, document, self._core.clock.now())
        return self._twins.save(connection, change, "updateTwin")


def desired_after(values: JsonObject, sections: JsonObject) -> JsonObject:
    """Desired properties after content: "properties.desired" replaces all, "properties.desired.a.b" what is at a.b."""
    document = deepcopy(values)
    for key in sorted(sections, key=lambda key: key.count(".")):
        path = key.removeprefix(_DESIRED).split(".")[1:]
        document = _with(document, path, deepcopy(sections[key]))
    return document


def _with(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    result = dict(document) if isinstance(document, dict) else {}
    if value is None and len(path) == 1:
        result.pop(path[0], None)
    else:
        result[path[0]] = _with(result.get(path[0]), path[1:], value)
    return result


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
    modules = desired_after(agent_values, content[_AGENT]).get("modules")
    return {*content, *(modules if isinstance(modules, dict) else ()), *SYSTEM_MODULES}


def _modules(connection: sqlite3.Connection, device_id: str) -> list[Record]:
    return list(scan(connection, "device_id = ? AND module_id != ''", (device_id,)))


def _module(device_id: str, module_id: str) -> Identity:
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise hub_error("InvalidConfigurationContent", str(error)) from error


def _managed() -> ModuleBody:
    return ModuleBody(managed_by=EDGE_MANAGED, authentication=no_authentication())


def _joined(changes: list[Change[Any]]) -> Change[None]:
    return Change(
        result=None,
        pushes=tuple(push for change in changes for push in change.pushes),
        events=tuple(event for change in changes for event in change.events),
        ended=tuple(identity for change in changes for identity in change.ended),
    )
