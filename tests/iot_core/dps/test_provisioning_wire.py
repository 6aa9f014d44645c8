from __future__ import annotations

import pytest

from iot_core.dps import (
    ProvisioningLogin,
    Register,
    Registration,
    Status,
    StatusQuery,
    accepted_body,
    operation_body,
    parse_login,
    parse_request,
    provisioning_error,
    response_topic,
)
from iot_core.errors import IdentityError, InputError, MessageError


def test_a_log_in_names_scope_registration_and_version() -> None:
    login = parse_login("0ne0A1B2C3D/registrations/Pump-7/api-version=2019-03-31&ClientVersion=x%2F1")
    assert login == ProvisioningLogin(id_scope="0ne0A1B2C3D", registration_id="Pump-7", api_version="2019-03-31")
    assert login.resource == "0ne0A1B2C3D/registrations/Pump-7"


@pytest.mark.parametrize(
    "username",
    ["", "localhost/registrations/m/?api-version=2021-04-12", "localhost/d/?api-version=2021-04-12", "0ne0A1B2C3D/d/x"],
)
def test_other_user_names_are_not_for_the_provisioning_service(username: str) -> None:
    assert parse_login(username) is None


def test_a_log_in_with_a_bad_registration_id_is_an_error() -> None:
    with pytest.raises(IdentityError):
        parse_login("0ne0A1B2C3D/registrations/a b/api-version=2019-03-31")


def test_requests_are_read_with_their_ids_decoded() -> None:
    assert parse_request("$dps/registrations/PUT/iotdps-register/?$rid=a%2Fb") == Register(request_id="a/b")
    topic = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=4.x"
    assert parse_request(topic) == StatusQuery(request_id="1", operation_id="4.x")


@pytest.mark.parametrize(
    "topic",
    [
        "$dps/registrations/PUT/iotdps-register/",
        "$dps/registrations/PUT/iotdps-register/?rid=1",
        "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1",
        "$dps/registrations/res/200/?$rid=1",
        "devices/d/messages/events/",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(MessageError):
        parse_request(topic)


def test_answers_carry_the_request_id_and_when_to_ask_again() -> None:
    assert response_topic(202, "1", 3) == "$dps/registrations/res/202/?$rid=1&retry-after=3"
    assert response_topic(200, "a/b") == "$dps/registrations/res/200/?$rid=a%2Fb"


def registration(**fields: object) -> Registration:
    base = {"registration_id": "r", "group_id": None, "credential": "symmetricKey", "slot": "primary"}
    facts = {"operation_id": "4.x", "status": Status.ASSIGNED, "created": 0.0, "updated": 1.0, "etag": "e"}
    return Registration(**{**base, **facts, **fields})  # type: ignore[arg-type]


def test_a_registration_that_was_taken_up_says_no_more_than_that() -> None:
    assert accepted_body(registration()) == {"operationId": "4.x", "status": "assigning"}


def test_the_outcome_is_around_the_state_and_leaves_out_what_there_is_not() -> None:
    body = operation_body(registration(device_id="d", assigned_hub="h", substatus="initialAssignment"))
    assert (body["operationId"], body["status"]) == ("4.x", "assigned")
    assert body["registrationState"] == {
        "symmetricKey": {},
        "registrationId": "r",
        "createdDateTimeUtc": "1970-01-01T00:00:00.0000000Z",
        "assignedHub": "h",
        "deviceId": "d",
        "status": "assigned",
        "substatus": "initialAssignment",
        "lastUpdatedDateTimeUtc": "1970-01-01T00:00:01.0000000Z",
        "etag": "e",
    }


def test_a_group_is_named_where_it_let_the_device_in() -> None:
    body = operation_body(registration(group_id="g", credential="x509"))
    assert body["registrationState"]["x509"] == {"enrollmentGroupId": "g"}


def test_errors_have_the_status_of_their_code() -> None:
    error = provisioning_error("OperationNotFound", "Operation not found.")
    assert (error.code, error.status) == (404203, 404)
    with pytest.raises(InputError):
        provisioning_error("DeviceNotFound", "")
