"""IoT Hub's error codes by name, and the one way to build a `HubError`.

Source: IoT Hub documentation, "Troubleshoot error codes", and the REST reference, "Common error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from iot_core.errors import HubError, InputError

__all__ = ["ERRORS", "ErrorCode", "hub_error"]


class ErrorCode(NamedTuple):
    """A six-digit code and the HTTP status that carries it."""

    code: int
    status: int


def _table(codes: dict[str, int], statuses: dict[str, int]) -> Mapping[str, ErrorCode]:
    return MappingProxyType({name: ErrorCode(code, statuses.get(name, code // 1000)) for name, code in codes.items()})


ERRORS: Mapping[str, ErrorCode] = _table(
    {
        "GenericBadRequest": 400000,
        "InvalidProtocolVersion": 400001,
        "InvalidOperation": 400003,
        "ArgumentInvalid": 400004,
        "ArgumentNull": 400005,
        "IotHubFormatError": 400006,
        "BlobContainerValidationError": 400008,
        "ImportWarningExistsError": 400009,
        "DeviceDefinedMultipleTimes": 400011,
        "DeserializationError": 400012,
        "BulkRegistryOperationFailure": 400013,
        "DefaultStorageEndpointNotConfigured": 400014,
        "InvalidFileUploadCorrelationId": 400015,
        "ExpiredFileUploadCorrelationId": 400016,
        "InvalidStorageEndpointOrBlob": 400020,
        "ConnectionForcefullyClosedOnNewConnection": 400027,
        "InvalidDeviceScope": 400028,
        "ManagedIdentityNotEnabled": 400032,
        "CannotRegisterModuleToModule": 400301,
        "InvalidConfigurationTargetCondition": 400401,
        "InvalidConfigurationContent": 400402,
        "CannotModifyImmutableConfigurationContent": 400403,
        "InvalidConfigurationCustomMetricsQuery": 400404,
        "InvalidDigitalTwinJsonPatch": 400505,
        "InvalidDigitalTwinPatch": 400507,
        "InvalidDigitalTwinPatchPath": 400508,
        "IotHubNotFound": 401001,
        "IotHubUnauthorizedAccess": 401002,
        "IotHubUnauthorized": 401003,
        "IotHubQuotaExceeded": 403002,
        "JobQuotaExceeded": 403003,
        "DeviceMaximumQueueDepthExceeded": 403004,
        "DeviceMaximumActiveFileUploadLimitExceeded": 403006,
        "DeviceMaximumQueueSizeExceeded": 403007,
        "RoutingEndpointResponseForbidden": 403008,
        "InvalidMessageExpiryTime": 403009,
        "OperationNotAvailableInCurrentTier": 403010,
        "DeviceDisabled": 403012,
        "DeviceMaximumInflightMethodExceeded": 403800,
        "DeviceNotFound": 404001,
        "JobNotFound": 404002,
        "AmqpAddressNotFound": 404006,
        "ModuleNotFound": 404010,
        "DeviceNotOnline": 404103,
        "DeviceConnectionClosedRemotely": 404104,
        "ConfigurationNotFound": 404301,
        "OperationNotAllowedInCurrentState": 405102,
        "DeviceAlreadyExists": 409001,
        "LinkCreationConflict": 409002,
        "JobAlreadyExists": 409104,
        "ModuleAlreadyExistsOnDevice": 409301,
        "ConfigurationAlreadyExists": 409401,
        "ApplyConfigurationAlreadyInProgressOnDevice": 409402,
        "PreconditionFailed": 412001,
        "DeviceMessageLockLost": 412002,
        "MessageTooLarge": 413001,
        "TooManyDevices": 413002,
        "TooManyModulesOnDevice": 413003,
        "ConfigurationCountLimitExceeded": 413101,
        "UnsupportedContentType": 415101,
        "ThrottlingException": 429001,
        "ThrottleBacklogLimitExceeded": 429002,
        "ThrottlingBacklogTimeout": 429003,
        "ThrottlingMaxActiveJobCountExceeded": 429004,
        "DeviceThrottlingLimitExceeded": 429005,
        "ServerError": 500001,
        "GenericTimeout": 500008,
        "ServiceUnavailable": 503001,
        "ServerBusy": 503005,
        "GatewayTimeout": 504101,
    },
    # A bulk request answers 400 and names the limit it broke in the body.
    {"BulkRegistryOperationFailure": 400},
)
"""Name → (code, HTTP status); the status is the first three digits of the code."""


def hub_error(name: str, message: str) -> HubError:
    """A HubError with the code and status of `name`; raises InputError for a name that IoT Hub does not have."""
    try:
        code, status = ERRORS[name]
    except KeyError:
        raise InputError(f"{name!r} is not an IoT Hub error name: use one of iot_core.hub_errors.ERRORS") from None
    return HubError(code, name, status, message)
