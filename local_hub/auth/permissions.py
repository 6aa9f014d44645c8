"""The rights of shared access policies, and the policies that every hub has (IoT Hub documentation, "Control access to
IoT Hub").
"""

from __future__ import annotations

import enum

from local_hub.home import OWNER

__all__ = ["DEFAULT_RIGHTS", "Permission"]


class Permission(enum.Flag):
    """The four rights a policy may hold."""

    REGISTRY_READ = enum.auto()
    REGISTRY_WRITE = enum.auto()
    SERVICE_CONNECT = enum.auto()
    DEVICE_CONNECT = enum.auto()


DEFAULT_RIGHTS = {
    OWNER: ~Permission(0),
    "service": Permission.SERVICE_CONNECT,
    "device": Permission.DEVICE_CONNECT,
    "registryRead": Permission.REGISTRY_READ,
    "registryReadWrite": Permission.REGISTRY_READ | Permission.REGISTRY_WRITE,
}
"""The policies every new hub has."""
