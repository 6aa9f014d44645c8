"""Error conditions as data, and the exceptions of the AMQP engine: what a peer did wrong, and how far it reaches.

Conditions `amqp:…` are those of OASIS AMQP 1.0 part 2, sections 2.8.15 to 2.8.18; conditions
`com.microsoft:…` are those of Azure's services ("AMQP errors in Azure Service Bus", and IoT Hub's SDKs).
"""

from __future__ import annotations

from iot_core.errors import RemoteProtocolError

__all__ = [
    "AmqpViolation",
    "LinkViolation",
    "SessionViolation",
]

INTERNAL_ERROR = "amqp:internal-error"
NOT_FOUND = "amqp:not-found"
UNAUTHORIZED_ACCESS = "amqp:unauthorized-access"
DECODE_ERROR = "amqp:decode-error"
RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded"
NOT_ALLOWED = "amqp:not-allowed"
INVALID_FIELD = "amqp:invalid-field"
NOT_IMPLEMENTED = "amqp:not-implemented"
RESOURCE_LOCKED = "amqp:resource-locked"
PRECONDITION_FAILED = "amqp:precondition-failed"
RESOURCE_DELETED = "amqp:resource-deleted"
ILLEGAL_STATE = "amqp:illegal-state"
FRAME_SIZE_TOO_SMALL = "amqp:frame-size-too-small"

CONNECTION_FORCED = "amqp:connection:forced"
FRAMING_ERROR = "amqp:connection:framing-error"
CONNECTION_REDIRECT = "amqp:connection:redirect"

WINDOW_VIOLATION = "amqp:session:window-violation"
ERRANT_LINK = "amqp:session:errant-link"
HANDLE_IN_USE = "amqp:session:handle-in-use"
UNATTACHED_HANDLE = "amqp:session:unattached-handle"

DETACH_FORCED = "amqp:link:detach-forced"
TRANSFER_LIMIT_EXCEEDED = "amqp:link:transfer-limit-exceeded"
MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded"
LINK_REDIRECT = "amqp:link:redirect"
STOLEN = "amqp:link:stolen"

MESSAGE_LOCK_LOST = "com.microsoft:message-lock-lost"
ARGUMENT_ERROR = "com.microsoft:argument-error"
ARGUMENT_OUT_OF_RANGE = "com.microsoft:argument-out-of-range"
DEVICE_ALREADY_EXISTS = "com.microsoft:device-already-exists"
DEVICE_CONTAINER_THROTTLED = "com.microsoft:device-container-throttled"
QUOTA_EXCEEDED = "com.microsoft:quota-exceeded"
MS_PRECONDITION_FAILED = "com.microsoft:precondition-failed"
IOT_HUB_SUSPENDED = "com.microsoft:iot-hub-suspended"
IOT_HUB_NOT_FOUND = "com.microsoft:iot-hub-not-found-error"
TIMEOUT = "com.microsoft:timeout"
SERVER_BUSY = "com.microsoft:server-busy"
ENTITY_DISABLED = "com.microsoft:entity-disabled"


class AmqpViolation(RemoteProtocolError):
    """The peer broke AMQP; the connection ends with the error `condition` (and the message as its description)."""

    def __init__(self, message: str, *, condition: str) -> None:
        super().__init__(message)
        self.condition = condition


class SessionViolation(AmqpViolation):
    """Only the session has to end. The engine answers by itself; this is never raised to its user."""


class LinkViolation(AmqpViolation):
    """Only the link has to be detached. The engine answers by itself; this is never raised to its user."""
