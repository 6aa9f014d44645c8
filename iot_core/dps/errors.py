"""The provisioning service's error codes by name, and the one way to build such a `HubError`.

Source: DPS documentation, "Troubleshoot DPS"; the six-digit codes were seen in bodies that users of the service quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from iot_core.errors import HubError, InputError

__all__ = ["PROVISIONING_ERRORS", "provisioning_error", "provisioning_error_name"]

PROVISIONING_ERRORS: Mapping[str, int] = MappingProxyType(
    {
        "BadRequest": 400000,
        "CustomAllocationFailed": 400207,
        "IotHubNotFound": 401001,
        "Unauthorized": 401002,
        "EnrollmentNotFound": 404201,
        "RegistrationNotFound": 404202,
        "OperationNotFound": 404203,
        "Conflict": 409000,
        "PreconditionFailed": 412000,
        "ThrottlingException": 429001,
        "NotImplemented": 501000,
    }
)
"""Name → code; the HTTP status is its first three digits."""


def provisioning_error(name: str, message: str) -> HubError:
    """A refusal of the provisioning service; raises InputError for a name that is not in the table."""
    try:
        code = PROVISIONING_ERRORS[name]
    except KeyError:
        raise InputError(f"{name!r} is not an error of the provisioning service") from None
    return HubError(code, name, code // 1000, message)


def provisioning_error_name(code: int) -> str:
    """The name of a code; that of another code with the same HTTP status where the table has not got it."""
    known = {each: name for name, each in PROVISIONING_ERRORS.items()}
    same = (name for each, name in known.items() if each // 1000 == code // 1000)
    return known.get(code) or next(same, f"Http{code // 1000}")
