from __future__ import annotations

import json

import pytest

from iot_core.hub_errors import hub_error
from local_hub.fronts.envelopes import Envelope, error_body

NOW = 1_786_785_033.0  # 2026-08-15T09:10:33Z
ERROR = hub_error("ModuleNotFound", "Module m on device d not registered.")


def written(envelope: Envelope) -> dict[str, object]:
    return json.loads(error_body(ERROR, envelope, NOW))


def test_registry_errors_put_the_name_before_the_text() -> None:
    assert written(Envelope.REGISTRY)["Message"] == "ErrorCode:ModuleNotFound;Module m on device d not registered."


def test_registry_errors_carry_a_tracking_id_with_an_american_date() -> None:
    assert "-TimeStamp:08/15/2026 09:10:33" in str(written(Envelope.REGISTRY)["ExceptionMessage"])


def test_module_errors_carry_the_code_and_the_time() -> None:
    body = written(Envelope.PLAIN)
    assert body["errorCode"] == 404010
    assert body["message"] == ERROR.message
    assert body["timestampUtc"] == "2026-08-15T09:10:33Z"


def test_method_errors_are_a_plain_error_as_text_inside_a_registry_error() -> None:
    body = written(Envelope.NESTED)
    inner = json.loads(str(body["Message"]))
    assert inner["errorCode"] == 404010
    assert inner["info"] is None
    assert body["ExceptionMessage"] == ""


@pytest.mark.parametrize("envelope", Envelope)
def test_tracking_ids_differ_from_error_to_error(envelope: Envelope) -> None:
    assert error_body(ERROR, envelope, NOW) != error_body(ERROR, envelope, NOW)
