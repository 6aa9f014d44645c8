"""Which right of a shared access policy an operation needs.

Source: IoT Hub documentation, "Control access to IoT Hub" (IoT Hub permissions).
"""

from __future__ import annotations

import re

__all__ = ["entra_role_of", "right_of"]

READ, WRITE, SERVICE = "RegistryRead", "RegistryRead and RegistryWrite", "ServiceConnect"
_REGISTRY = re.compile(r"/(devices(?!/query)(/[^/]+(/modules(/[^/]+)?)?)?|configurations(/.*)?|statistics/devices)$")
_COMMANDS = re.compile(r"/devices/[^/]+/commands$")
_WRITES = re.compile(r"/devices/[^/]+/applyConfigurationContent$|/jobs/create$|/jobs(/(?!v2)[^/]+)?$")
_ROLES = {
    READ: "IoT Hub Registry Contributor",
    WRITE: "IoT Hub Registry Contributor",
    SERVICE: "IoT Hub Data Contributor",
}


def right_of(method: str, path: str) -> str:
    """The permission or permissions for an operation of the REST API, by verb and path without the query."""
    if _WRITES.search(path):
        return WRITE
    if _REGISTRY.search(path) and not _COMMANDS.search(path):
        return READ if method == "GET" else WRITE
    return SERVICE


def entra_role_of(right: str) -> str:
    """A built-in Entra role that holds the permission."""
    return _ROLES[right]
