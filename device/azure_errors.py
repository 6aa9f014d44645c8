"""What the exceptions of azure-iot-device mean here: one table, used wherever the library is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azure.iot.device import exceptions as sdk
from azure.iot.device.common.transport_exceptions import TlsExchangeAuthError

from device import errors
from iot_core.errors import EdgeyardError, MessageError

MAX_CAUSE_CHARS = 160  # A message is one line.

ERRORS: dict[type[BaseException], tuple[type[EdgeyardError], str]] = {
    TlsExchangeAuthError: (
        errors.UntrustedHubError,
        "the certificate of {host} is not trusted: give its CA file (`edgeyard hub env` names the local hub's)",
    ),
    sdk.CredentialError: (
        errors.CredentialRefusedError,
        "{host} refused the credentials: check the device's connection string and that the identity is enabled",
    ),
    sdk.ConnectionFailedError: (
        errors.HubUnreachableError,
        "no connection to {host}: check the host name and that port 8883 answers",
    ),
    sdk.ConnectionDroppedError: (errors.ConnectionLostError, "the connection to {host} was lost"),
    sdk.NoConnectionError: (errors.NotConnectedError, "not connected to {host}"),
    sdk.OperationTimeout: (errors.OperationTimedOutError, "{host} did not answer in time"),
    sdk.OperationCancelled: (errors.OperationCancelledError, "given up: the connection to {host} was closed"),
    sdk.ServiceError: (errors.HubRefusedError, "{host} refused the operation"),
    sdk.ClientError: (errors.HubRefusedError, "the operation on {host} failed"),
    ValueError: (MessageError, "azure-iot-device does not take this message for {host}"),
}
"""Exception of the library → our error and its text. The row of the exception's own class counts, else that of its
nearest base; a TLS refusal is looked for among the causes, because the library wraps it in a general ClientError."""


def translated(error: BaseException, host: str) -> EdgeyardError:
    """Our error for one of the library's."""
    chain = list(_causes(error))
    known = next((row for cause in chain if (row := _exact(cause)) and row[0] is errors.UntrustedHubError), None)
    kind, text = known or _nearest(error)
    message = text.format(host=host)
    return kind(message if known or len(chain) == 1 else f"{message} ({_one_line(chain[-1])})")


@contextmanager
def translating(host: str) -> Iterator[None]:
    """Raise our errors in place of the library's, which stay as their cause."""
    try:
        yield
    except tuple(ERRORS) as error:
        raise translated(error, host) from error


def _exact(error: BaseException) -> tuple[type[EdgeyardError], str] | None:
    return ERRORS.get(type(error))


def _nearest(error: BaseException) -> tuple[type[EdgeyardError], str]:
    return next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:MAX_CAUSE_CHARS] or type(error).__name__
