from __future__ import annotations

import uuid
from typing import Any

import pytest

from iot_core import amqp
from iot_core.amqp.types import Int, Symbol, Timestamp
from iot_core.amqp_messages import device_of, from_amqp, properties_of
from iot_core.errors import MessageError


def test_properties_become_system_properties() -> None:
    properties = amqp.Properties(
        message_id="m",
        correlation_id=uuid.UUID(int=7),
        user_id=b"me",
        content_type="application/json",
        content_encoding="utf-8",
        absolute_expiry_time=Timestamp(1_000),
    )
    assert from_amqp(amqp.Message(properties=properties)).system == {
        "messageId": "m",
        "correlationId": "00000000-0000-0000-0000-000000000007",
        "userId": "me",
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "expiry": "1970-01-01T00:00:01.0000000Z",
    }


def test_reserved_names_and_annotations_are_system_properties() -> None:
    message = amqp.Message(
        message_annotations={Symbol("dt-subject"): "thermostat", Symbol("x-opt-other"): 1},
        application_properties={"iothub-outputname": "out", "room": "1", "on": True, "n": Int(5), "none": None},
    )
    converted = from_amqp(message)
    assert converted.system == {"subject": "thermostat", "outputName": "out"}
    assert converted.properties == {"room": "1", "on": "true", "n": "5", "none": ""}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (amqp.Data((b"a", b"b")), b"ab"),
        (amqp.AmqpValue("text"), b"text"),
        (amqp.AmqpValue(b"bytes"), b"bytes"),
    ],
)
def test_bodies_of_data_text_and_bytes_are_taken(body: Any, expected: bytes) -> None:
    assert from_amqp(amqp.Message(body=body)).body == expected


@pytest.mark.parametrize("body", [amqp.AmqpValue(5), amqp.AmqpSequence(([1],))])
def test_other_bodies_are_not(body: Any) -> None:
    with pytest.raises(MessageError):
        from_amqp(amqp.Message(body=body))


@pytest.mark.parametrize("milliseconds", [-1, 2**62])
def test_an_expiry_that_is_no_date_is_not_taken(milliseconds: int) -> None:
    with pytest.raises(MessageError):
        from_amqp(amqp.Message(properties=amqp.Properties(absolute_expiry_time=Timestamp(milliseconds))))


def test_system_properties_become_properties_again() -> None:
    system = {"messageId": "m", "to": "/devices/d", "contentType": "text/plain", "expiry": "1970-01-01T00:00:01Z"}
    properties = properties_of(system)
    assert properties == amqp.Properties(
        message_id="m", to="/devices/d", content_type="text/plain", absolute_expiry_time=Timestamp(1_000)
    )


def test_a_properties_section_always_has_a_content_type() -> None:
    assert properties_of({}) is None
    properties = properties_of({"messageId": "m"})
    assert properties is not None
    assert properties.content_type == ""


def test_the_device_is_in_to() -> None:
    assert device_of("/devices/a%2Fb/messages/deviceBound") == "a/b"
    for wrong in (None, "", "d", "/devices/d/modules/m/messages/devicebound", "/devices/d/messages/events"):
        with pytest.raises(MessageError):
            device_of(wrong)
