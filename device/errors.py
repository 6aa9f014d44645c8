"""Errors of the device layer.

EdgeyardError
├── InputError
│   ├── EdgeEnvironmentError     not started by an IoT Edge runtime
│   ├── MethodPayloadError       a direct method was called with a payload that it does not take
│   └── TrustError               a CA file that cannot be read
└── DeviceConnectionError        something between this client and the hub
    ├── HubUnreachableError      no connection could be made
    ├── ConnectionLostError      the connection broke while something was under way
    ├── NotConnectedError        there is no connection
    ├── CredentialRefusedError   the hub does not accept this identity or key
    ├── UntrustedHubError        the hub's certificate is not signed by a CA that this client trusts
    ├── OperationTimedOutError   the hub did not answer in time
    ├── OperationCancelledError  given up because the client was closed
    └── HubRefusedError          the hub, or the client library, refused the operation
"""

from __future__ import annotations

from iot_core.errors import EdgeyardError, InputError


class EdgeEnvironmentError(InputError):
    """The variables that an IoT Edge runtime gives to a module are missing, or its workload API does not answer."""


class MethodPayloadError(InputError):
    """The payload of a direct method does not fit its parameters."""


class TrustError(InputError):
    """A CA file that cannot be read."""


class DeviceConnectionError(EdgeyardError):
    """Something between this client and the hub."""


class HubUnreachableError(DeviceConnectionError):
    """No connection could be made."""


class ConnectionLostError(DeviceConnectionError):
    """The connection broke while something was under way; it may have been done."""


class NotConnectedError(DeviceConnectionError):
    """There is no connection; nothing was sent."""


class CredentialRefusedError(DeviceConnectionError):
    """The hub does not accept this identity or key."""


class UntrustedHubError(DeviceConnectionError):
    """The hub's certificate is not signed by a CA that this client trusts."""


class OperationTimedOutError(DeviceConnectionError):
    """The hub did not answer in time; it may have been done."""


class OperationCancelledError(DeviceConnectionError):
    """Given up because the client was closed."""


class HubRefusedError(DeviceConnectionError):
    """The hub, or the client library, refused the operation; trying again does not help."""


RETRY = (HubUnreachableError, ConnectionLostError, NotConnectedError, OperationTimedOutError)
"""Errors that pass by themselves: try again after a while."""

FATAL = (CredentialRefusedError, UntrustedHubError)
"""Errors that stay until someone changes the identity or the trust: stop."""
