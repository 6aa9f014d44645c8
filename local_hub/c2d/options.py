"""The hub's options for cloud-to-device messages (IoT Hub developer guide, "Cloud-to-device configuration options")."""

from __future__ import annotations

from dataclasses import dataclass, field

from iot_core import limits
from iot_core.errors import SettingsError

__all__ = ["C2dOptions", "FeedbackOptions"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedbackOptions:
    """``cloudToDevice.feedback``: how long batches live and stay locked (seconds), and how often they are handed out.

    SettingsError for a value out of the service's range.
    """

    ttl_s: int = limits.CLOUD_TO_DEVICE_TTL_DEFAULT_S
    max_delivery_count: int = limits.CLOUD_TO_DEVICE_DELIVERIES_DEFAULT
    lock_s: int = limits.FEEDBACK_LOCK_DEFAULT_S

    def __post_init__(self) -> None:
        _check("feedback.ttlAsIso8601", self.ttl_s, limits.CLOUD_TO_DEVICE_TTL_S)
        _check("feedback.maxDeliveryCount", self.max_delivery_count, limits.CLOUD_TO_DEVICE_DELIVERIES)
        _check("feedback.lockDurationAsIso8601", self.lock_s, limits.FEEDBACK_LOCK_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class C2dOptions:
    """``cloudToDevice``: the time to live (seconds) of messages that bring none, and how often they may be abandoned.

    SettingsError for a value out of the service's range.
    """

    default_ttl_s: int = limits.CLOUD_TO_DEVICE_TTL_DEFAULT_S
    max_delivery_count: int = limits.CLOUD_TO_DEVICE_DELIVERIES_DEFAULT
    feedback: FeedbackOptions = field(default_factory=FeedbackOptions)

    def __post_init__(self) -> None:
        _check("defaultTtlAsIso8601", self.default_ttl_s, limits.CLOUD_TO_DEVICE_TTL_S)
        _check("maxDeliveryCount", self.max_delivery_count, limits.CLOUD_TO_DEVICE_DELIVERIES)


def _check(name: str, value: int, allowed: range) -> None:
    if value not in allowed:
        text = f"cloudToDevice.{name} is {value}: it must be from {allowed.start} to {allowed.stop - 1}"
        raise SettingsError(text)
