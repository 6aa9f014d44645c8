"""The hub's options for file upload (IoT Hub developer guide, "File upload notification configuration options")."""

from __future__ import annotations

from dataclasses import dataclass, field

from iot_core import limits
from iot_core.errors import SettingsError

__all__ = ["BUILT_IN", "CONTAINER", "OFF", "FileUploadOptions", "NotificationOptions"]

BUILT_IN = "built-in"
"""``storage``: the blob endpoint on the hub's own HTTPS port."""
OFF = "off"
"""``storage``: none is configured, and uploads are refused as the service does then."""
CONTAINER = "device-files"


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationOptions:
    """``fileNotifications``: how long notifications live and stay locked (seconds), how often they are handed out.

    SettingsError for a value out of the service's range.
    """

    enabled: bool = True
    ttl_s: int = limits.FILE_NOTIFICATION_TTL_DEFAULT_S
    lock_s: int = limits.FILE_NOTIFICATION_LOCK_DEFAULT_S
    max_delivery_count: int = limits.FILE_NOTIFICATION_DELIVERIES_DEFAULT

    def __post_init__(self) -> None:
        _check("fileNotifications.ttlAsIso8601", self.ttl_s, limits.FILE_NOTIFICATION_TTL_S)
        _check("fileNotifications.lockDurationAsIso8601", self.lock_s, limits.FILE_NOTIFICATION_LOCK_S)
        _check("fileNotifications.maxDeliveryCount", self.max_delivery_count, limits.FILE_NOTIFICATION_DELIVERIES)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileUploadOptions:
    """``storage`` is BUILT_IN, OFF, or the connection string of a storage account whose ``container`` is there.

    ``sas_ttl_s`` (seconds) is how long a device may take for an upload.
    """

    storage: str = field(default=BUILT_IN, repr=False)
    container: str = CONTAINER
    sas_ttl_s: int = limits.UPLOAD_TTL_DEFAULT_S
    notifications: NotificationOptions = field(default_factory=NotificationOptions)

    def __post_init__(self) -> None:
        _check("sasTtlAsIso8601", self.sas_ttl_s, limits.UPLOAD_TTL_S)


def _check(name: str, value: int, allowed: range) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value}: it must be from {allowed.start} to {allowed.stop - 1}")
