from __future__ import annotations

import inspect
import pickle
import re

import pytest

from iot_core import errors
from iot_core.errors import EdgeyardError, HubError, InputError, ManifestError, SasError, SasReason
from iot_core.hub_errors import ERRORS, hub_error

CLASSES = {name: item for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, Exception)}


def drawn_tree() -> dict[str, str]:
    """Class → parent, read from the drawing on top of the module."""
    parents, branch = {}, ["EdgeyardError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"((?:│   |    )*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            parents[match[2]] = branch[depth - 1]
            branch[depth:] = [match[2]]
    return parents


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    actual = {name: item.__mro__[1].__name__ for name, item in CLASSES.items() if item is not EdgeyardError}
    assert drawn_tree() == actual


def test_all_errors_are_exported() -> None:
    assert {*CLASSES, "SasReason"} == set(errors.__all__)


def test_a_hub_error_carries_code_name_and_status() -> None:
    error = hub_error("DeviceNotFound", "no device 'd1'")
    assert (error.code, error.name, error.status, error.message) == (404001, "DeviceNotFound", 404, "no device 'd1'")
    assert str(error) == "DeviceNotFound (404001): no device 'd1'"


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("ArgumentInvalid", 400004, 400),
        ("IotHubUnauthorizedAccess", 401002, 401),
        ("DeviceMaximumQueueDepthExceeded", 403004, 403),
        ("DeviceNotOnline", 404103, 404),
        ("OperationNotAllowedInCurrentState", 405102, 405),
        ("ModuleAlreadyExistsOnDevice", 409301, 409),
        ("PreconditionFailed", 412001, 412),
        ("TooManyModulesOnDevice", 413003, 413),
        ("ThrottlingBacklogTimeout", 429003, 429),
        ("GatewayTimeout", 504101, 504),
    ],
)
def test_codes_are_those_of_the_service(name: str, code: int, status: int) -> None:
    assert ERRORS[name] == (code, status)


def test_no_code_is_used_twice() -> None:
    assert len({error.code for error in ERRORS.values()}) == len(ERRORS)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="'NoSuch' is not an IoT Hub error name"):
        hub_error("NoSuch", "text")


@pytest.mark.parametrize(
    "error", [hub_error("ServerBusy", "later"), SasError(SasReason.EXPIRED, "late"), ManifestError("bad", path="a.b")]
)
def test_errors_survive_pickling(error: EdgeyardError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_a_manifest_error_starts_with_its_path() -> None:
    assert str(ManifestError("is missing", path="a.b")) == "a.b: is missing"
    assert str(ManifestError("is missing")) == "is missing"


def test_a_hub_error_is_not_an_input_error() -> None:
    assert not issubclass(HubError, InputError)
