"""Module identities of an edge device, as deployments name them: missing ones are made, those of earlier deployments
that are no longer named are removed with their twins.

Inside a write. Source: IoT Edge documentation, "Understand IoT Edge automatic deployments".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Set
from typing import Any

from iot_core.errors import IdentityError
from iot_core.hub_errors import hub_error
from iot_core.identity import SYSTEM_MODULES, Identity
from local_hub.changes import Change
from local_hub.registry.identity_body import ModuleBody, no_authentication
from local_hub.registry.registry import EDGE_MANAGED, Registry
from local_hub.rows import Record, scan

__all__ = ["is_superfluous", "modules_of", "set_modules"]


def modules_of(connection: sqlite3.Connection, device_id: str) -> dict[str, Record]:
    """The modules of a device by their ids, in the order of these."""
    records = scan(connection, "device_id = ? AND module_id != ''", (device_id,))
    return {record.identity.module_id or "": record for record in records}


def is_superfluous(module_id: str, managed_by: str | None, named: Set[str]) -> bool:
    """Whether a module goes when its device's deployment names ``named`` only; a user's own modules stay."""
    return (
        module_id not in named
        and module_id not in SYSTEM_MODULES
        and (managed_by or "").lower() == EDGE_MANAGED.lower()
    )


def set_modules(
    connection: sqlite3.Connection, registry: Registry, device_id: str, have: dict[str, Record], named: Set[str]
) -> tuple[dict[str, Record], list[Change[Any]]]:
    """Make ``have`` what a deployment names; returns the modules after it, and what follows.

    HubError TooManyModulesOnDevice, or InvalidConfigurationContent for a name that no module can have.
    """
    after = dict(have)
    changes: list[Change[Any]] = []
    for name, record in have.items():
        if is_superfluous(name, record.managed_by, named):
            changes.append(registry.remove(connection, record))
            del after[name]
    for name in sorted({*named, *SYSTEM_MODULES} - set(have)):
        made = registry.create_module(connection, _identity(device_id, name), _managed())
        changes.append(made)
        after[name] = made.result
    return after, changes


def _identity(device_id: str, module_id: str) -> Identity:
    try:
        return Identity(device_id, module_id)
    except IdentityError as error:
        raise hub_error("InvalidConfigurationContent", str(error)) from error


def _managed() -> ModuleBody:
    return ModuleBody(managed_by=EDGE_MANAGED, authentication=no_authentication())
