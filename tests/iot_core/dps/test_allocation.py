from __future__ import annotations

from typing import Any

import pytest

from iot_core.dps import Registration, Status, allocation_request, parse_allocation
from iot_core.dps.allocation import CustomAllocation, parse_custom_allocation
from iot_core.errors import HubError

URL = "https://functions.test/api/pick?code=secret"


def body_of(**changes: Any) -> dict[str, Any]:
    return {"customAllocationDefinition": {"webhookUrl": URL, "apiVersion": "2021-10-01", **changes}}


def test_a_definition_counts_for_the_policy_custom_alone() -> None:
    assert parse_custom_allocation(body_of(), "custom") == CustomAllocation(webhook_url=URL, api_version="2021-10-01")
    assert parse_custom_allocation(body_of(), "hashed") is None


def test_the_key_in_the_url_stays_out_of_the_repr() -> None:
    assert "secret" not in repr(parse_custom_allocation(body_of(), "custom"))


@pytest.mark.parametrize(
    "body",
    [{}, body_of(webhookUrl=None), body_of(apiVersion=None), body_of(webhookUrl="ftp://x"), body_of(webhookUrl="/x")],
)
def test_a_definition_needs_a_url_and_a_version(body: dict[str, Any]) -> None:
    with pytest.raises(HubError) as refused:
        parse_custom_allocation(body, "custom")
    assert refused.value.status == 400


def test_a_webhook_is_told_of_the_enrollment_and_the_device() -> None:
    previous = Registration(
        registration_id="r", group_id="g", credential="symmetricKey", slot="primary", operation_id="4.x",
        status=Status.ASSIGNED, created=0.0, updated=0.0, etag="", device_id="d", assigned_hub="hub",
    )  # fmt: skip
    asked = allocation_request(
        {"enrollmentGroupId": "g", **body_of()},
        registration_id="r",
        attested={"symmetricKey": {}},
        previous=previous,
        payload={"model": 1},
        linked_hubs=["hub"],
    )
    shown = {"webhookUrl": "https://functions.test/api/pick?****", "apiVersion": "2021-10-01"}
    assert asked == {
        "enrollmentGroup": {"enrollmentGroupId": "g", "customAllocationDefinition": shown},
        "deviceRuntimeContext": {
            "registrationId": "r",
            "currentIotHubHostName": "hub",
            "currentDeviceId": "d",
            "symmetricKey": {},
            "payload": {"model": 1},
        },
        "linkedHubs": ["hub"],
    }


def test_a_first_registration_has_no_current_hub() -> None:
    asked = allocation_request(
        {"registrationId": "r"}, registration_id="r", attested={}, previous=None, payload=None, linked_hubs=[]
    )
    assert asked == {
        "individualEnrollment": {"registrationId": "r"},
        "deviceRuntimeContext": {"registrationId": "r"},
        "linkedHubs": [],
    }


@pytest.mark.parametrize("name", ["iotHubHostName", "iotHubHostname"])
def test_an_answer_names_a_hub_and_may_have_a_twin_and_a_payload(name: str) -> None:
    twin = {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}
    allocation = parse_allocation({name: "hub", "initialTwin": twin, "payload": [1]})
    assert (allocation.iot_hub, allocation.initial_twin, allocation.payload) == ("hub", twin, [1])


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"iotHubHostName": 1}, {"iotHubHostName": "h", "initialTwin": {"tags": {"a.b": 1}}}]
)
def test_an_answer_that_allocates_nothing_is_a_failure(answer: Any) -> None:
    with pytest.raises(HubError, match="Custom allocation failed") as refused:
        parse_allocation(answer)
    assert refused.value.code == 400207
