"""IoT Hub's errors as AMQP errors (IoT Hub documentation, "Communicate with your IoT hub by using the AMQP protocol").

The description is the error's body as modules and MQTT have it, JSON; the info map has its tracking id.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

import orjson

from iot_core.amqp import ErrorCondition, errors
from iot_core.amqp.types import Symbol
from iot_core.errors import EdgeyardError, HubError, InputError
from iot_core.hub_errors import hub_error
from local_hub.fronts import refusals
from local_hub.fronts.envelopes import Envelope, error_body

__all__ = ["as_hub_error", "condition_of"]

_CONDITIONS: Mapping[str, str] = MappingProxyType(
    {
        "ArgumentInvalid": errors.ARGUMENT_ERROR,
        "ArgumentNull": errors.ARGUMENT_ERROR,
        "GenericBadRequest": errors.ARGUMENT_ERROR,
        "IotHubFormatError": errors.ARGUMENT_ERROR,
        "InvalidMessageExpiryTime": errors.ARGUMENT_OUT_OF_RANGE,
        "InvalidOperation": errors.NOT_ALLOWED,
        "IotHubNotFound": errors.IOT_HUB_NOT_FOUND,
        "IotHubUnauthorized": errors.UNAUTHORIZED_ACCESS,
        "IotHubUnauthorizedAccess": errors.UNAUTHORIZED_ACCESS,
        "IotHubQuotaExceeded": errors.QUOTA_EXCEEDED,
        "DeviceMaximumQueueDepthExceeded": errors.RESOURCE_LIMIT_EXCEEDED,
        "DeviceMaximumQueueSizeExceeded": errors.RESOURCE_LIMIT_EXCEEDED,
        "DeviceDisabled": errors.UNAUTHORIZED_ACCESS,
        "DeviceNotFound": errors.NOT_FOUND,
        "ModuleNotFound": errors.NOT_FOUND,
        "AmqpAddressNotFound": errors.NOT_FOUND,
        "DeviceAlreadyExists": errors.DEVICE_ALREADY_EXISTS,
        "LinkCreationConflict": errors.DETACH_FORCED,
        "PreconditionFailed": errors.MS_PRECONDITION_FAILED,
        "DeviceMessageLockLost": errors.MESSAGE_LOCK_LOST,
        "MessageTooLarge": errors.MESSAGE_SIZE_EXCEEDED,
        "ThrottlingException": errors.DEVICE_CONTAINER_THROTTLED,
        "ThrottlingBacklogTimeout": errors.DEVICE_CONTAINER_THROTTLED,
        "DeviceThrottlingLimitExceeded": errors.DEVICE_CONTAINER_THROTTLED,
        "GenericTimeout": errors.TIMEOUT,
        "GatewayTimeout": errors.TIMEOUT,
        "ServerBusy": errors.SERVER_BUSY,
        "NotImplemented": errors.NOT_IMPLEMENTED,
    }
)
"""Name of the error → condition; every other error is an internal one."""


def condition_of(error: EdgeyardError, condition: str | None = None) -> ErrorCondition:
    """The error for a rejected message or a detached link; ``condition`` stands in place of the one in the table."""
    refusal = as_hub_error(error)
    body = error_body(refusal, Envelope.PLAIN, time.time())
    return ErrorCondition(
        condition=condition or _CONDITIONS.get(refusal.name, errors.INTERNAL_ERROR),
        description=body.decode(),
        info={Symbol("com.microsoft:tracking-id"): orjson.loads(body)["trackingId"]},
    )


def as_hub_error(error: EdgeyardError) -> HubError:
    """A refusal by IoT Hub: bad input is ArgumentInvalid, and of what went wrong inside nothing is told."""
    if isinstance(error, HubError):
        return error
    return hub_error("ArgumentInvalid", str(error)) if isinstance(error, InputError) else refusals.internal_error()
