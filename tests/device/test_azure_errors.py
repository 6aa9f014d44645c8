"""Every exception of azure-iot-device has its place in our tree."""

from __future__ import annotations

import inspect

import pytest
from azure.iot.device import exceptions as sdk
from azure.iot.device.common.transport_exceptions import TlsExchangeAuthError

from device import errors
from device.azure_errors import ERRORS, translated, translating

EXPORTED = [kind for _, kind in inspect.getmembers(sdk, inspect.isclass) if issubclass(kind, Exception)]


def test_the_library_exports_exceptions() -> None:
    assert len(EXPORTED) >= 8


@pytest.mark.parametrize("kind", EXPORTED)
def test_no_exception_of_the_library_is_unmapped(kind: type[Exception]) -> None:
    assert kind in ERRORS


def test_an_untrusted_certificate_is_told_from_other_client_errors() -> None:
    wrapped = sdk.ClientError("Error in the IoTHub client due to TLS exchanges.")
    wrapped.__cause__ = TlsExchangeAuthError()
    assert isinstance(translated(wrapped, "hub"), errors.UntrustedHubError)
    assert type(translated(sdk.ClientError("x"), "hub")) is errors.HubRefusedError


def test_the_message_is_one_line_with_the_host_and_the_cause() -> None:
    error = sdk.ConnectionFailedError("Could not connect to IoTHub")
    error.__cause__ = OSError("[Errno 111]\nConnection refused")
    text = str(translated(error, "hub.example"))
    assert text.startswith("no connection to hub.example")
    assert text.endswith("([Errno 111] Connection refused)")
    assert "\n" not in text


def test_the_library_s_exception_stays_as_the_cause() -> None:
    original = sdk.OperationTimeout("slow")
    with pytest.raises(errors.OperationTimedOutError) as caught, translating("hub"):
        raise original
    assert caught.value.__cause__ is original


@pytest.mark.parametrize("kind", errors.RETRY + errors.FATAL)
def test_what_to_do_about_an_error_is_one_of_two_lists(kind: type[Exception]) -> None:
    assert (kind in errors.RETRY) != (kind in errors.FATAL)
