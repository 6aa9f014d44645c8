"""The tree of errors. Every exception that Edgeyard raises on purpose is one of these or a subclass.

EdgeyardError
├── InputError                   the caller gave something wrong; the command line exits with 2
│   ├── ConnectionStringError
│   ├── SasError                 .reason says why a token is refused
│   ├── IdentityError            ids and keys of devices and modules
│   ├── MessageError             topics, property bags, messages
│   ├── TwinError
│   ├── QueryError
│   ├── RouteError
│   ├── ManifestError            deployments, templates, createOptions; .path says where
│   │   └── LayerError
│   └── SettingsError
├── ProtocolError                .answer is the protocol's own code for the reply, where there is one
│   ├── LocalProtocolError       we would have broken the protocol
│   └── RemoteProtocolError      the peer broke it
├── StoreError                   data on disk: unreadable, newer than this program, or not writable
└── HubError                     a refusal with IoT Hub's own code, name and HTTP status

Messages are one line: what is wrong, where, and what to do. They never hold a key or a signature.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ConnectionStringError",
    "EdgeyardError",
    "HubError",
    "IdentityError",
    "InputError",
    "LayerError",
    "LocalProtocolError",
    "ManifestError",
    "MessageError",
    "ProtocolError",
    "QueryError",
    "RemoteProtocolError",
    "RouteError",
    "SasError",
    "SasReason",
    "SettingsError",
    "StoreError",
    "TwinError",
]


class EdgeyardError(Exception):
    """Root of the tree."""


class InputError(EdgeyardError):
    """The caller gave something wrong and can put it right."""


class ConnectionStringError(InputError):
    """A connection string that cannot be used."""


class SasReason(StrEnum):
    """Why a shared access signature is refused."""

    MALFORMED = "malformed"
    WRONG_SIGNATURE = "wrong signature"
    EXPIRED = "expired"
    RESOURCE = "resource not covered"


class SasError(InputError):
    """A shared access signature that cannot be made or is refused."""

    def __init__(self, reason: SasReason, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class IdentityError(InputError):
    """A device id, module id, registration id or symmetric key that breaks the rules."""


class MessageError(InputError):
    """A topic, property bag or message that IoT Hub would not take."""


class TwinError(InputError):
    """A twin patch or document that breaks the rules of twins; the twin stays as it was."""


class QueryError(InputError):
    """A query that the IoT Hub query language does not allow."""


class RouteError(InputError):
    """A route, or a routing condition, that does not parse or compile."""


class ManifestError(InputError):
    """A deployment manifest or template that breaks the rules; `path` names the place in it."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        text = str(self.args[0])
        return f"{self.path}: {text}" if self.path else text


class LayerError(ManifestError):
    """Deployments that cannot be layered on one device."""


class SettingsError(InputError):
    """A setting with a value that its type does not allow."""


class ProtocolError(EdgeyardError):
    """A protocol was broken; `answer` is its own code for the reply (a CONNACK return code, say), or None."""

    def __init__(self, message: str, *, answer: int | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class LocalProtocolError(ProtocolError):
    """We were asked to send what the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol forbids."""


class StoreError(EdgeyardError):
    """Data on disk that cannot be read, written or understood."""


class HubError(EdgeyardError):
    """A refusal by IoT Hub: `code` 404001, `name` "DeviceNotFound", HTTP `status` 404 and a `message`.

    Built by `iot_core.hub_errors.hub_error`, which knows the codes.
    """

    def __init__(self, code: int, name: str, status: int, message: str) -> None:
        super().__init__(code, name, status, message)
        self.code = code
        self.name = name
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.name} ({self.code}): {self.message}"
