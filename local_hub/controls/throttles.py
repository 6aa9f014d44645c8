"""The real service's throttles: classes of operations, each with an allowance that the tier and its units give.

Source: IoT Hub documentation, "Quotas and throttling". What is over the allowance is slowed first and then refused with
429 (``iot_core.throttling``). Time runs by the hub's clock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from iot_core.clock import Clock
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.limits import Rate, Tier
from iot_core.throttling import BACKLOG_S, METHOD_METER_BYTES, Bucket, metered

__all__ = ["Operation", "Throttles", "throttled"]


class Operation(enum.Enum):
    """The classes, by the name that a refusal gives them; the service documents none of the names, ConfigurationWrite
    was seen.
    """

    REGISTRY_READ = "RegistryRead"
    REGISTRY_WRITE = "RegistryWrite"
    CONNECTION = "Connect"
    DEVICE_TO_CLOUD = "DeviceToCloudSend"
    CLOUD_TO_DEVICE = "CloudToDeviceSend"
    CLOUD_TO_DEVICE_RECEIVE = "CloudToDeviceReceive"
    QUERY = "Query"
    METHOD = "DirectMethod"
    TWIN_READ = "TwinRead"
    TWIN_UPDATE = "TwinUpdate"
    JOB = "JobOperation"
    UPLOAD = "FileUpload"
    CONFIGURATION_READ = "ConfigurationRead"
    CONFIGURATION_WRITE = "ConfigurationWrite"


_RATES: Mapping[Operation, Callable[[Tier], Rate]] = {
    Operation.REGISTRY_READ: lambda tier: tier.registry,
    Operation.REGISTRY_WRITE: lambda tier: tier.registry,
    Operation.CONNECTION: lambda tier: tier.connections,
    Operation.DEVICE_TO_CLOUD: lambda tier: tier.device_to_cloud,
    Operation.CLOUD_TO_DEVICE: lambda tier: tier.cloud_to_device,
    Operation.CLOUD_TO_DEVICE_RECEIVE: lambda tier: tier.cloud_to_device_receives,
    Operation.QUERY: lambda tier: tier.queries,
    Operation.METHOD: lambda tier: tier.methods_bytes,
    Operation.TWIN_READ: lambda tier: tier.twin_reads,
    Operation.TWIN_UPDATE: lambda tier: tier.twin_updates,
    Operation.JOB: lambda tier: tier.job_operations,
    Operation.UPLOAD: lambda tier: tier.uploads,
    Operation.CONFIGURATION_READ: lambda tier: tier.configurations,
    Operation.CONFIGURATION_WRITE: lambda tier: tier.configurations,
}
_SHARED = {
    Operation.REGISTRY_WRITE: Operation.REGISTRY_READ,
    Operation.CONFIGURATION_WRITE: Operation.CONFIGURATION_READ,
}
"""Classes that draw on the allowance of another."""


class Throttles:
    """The allowances of one hub."""

    def __init__(self, clock: Clock, tier: Tier, units: int) -> None:
        self._clock = clock
        now = clock.monotonic()
        own = {operation: Bucket(rate(tier), units, now) for operation, rate in _RATES.items()}
        self._buckets = {operation: own[_SHARED.get(operation, operation)] for operation in Operation}

    def reserve(self, operation: Operation, size: int) -> float | None:
        """Seconds to wait before an operation with a payload of ``size`` bytes, mostly 0.0; None: refuse it."""
        amount = metered(size, METHOD_METER_BYTES) * METHOD_METER_BYTES if operation is Operation.METHOD else 1
        return self._buckets[operation].reserve(self._clock.monotonic(), amount)


def throttled(operation: Operation | None) -> HubError:
    """429 as the service gives it: without Retry-After, the wait is in the text."""
    kind = f" Operation type: {operation.value}" if operation else ""
    text = f"The request has been throttled. Wait {BACKLOG_S:.0f} seconds and try again.{kind}"
    return hub_error("ThrottlingBacklogTimeout", text)
