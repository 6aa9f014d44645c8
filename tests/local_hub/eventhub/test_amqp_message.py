"""Events as Event Hubs clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from iot_core import amqp
from iot_core.amqp.types import Timestamp
from iot_core.identity import Identity
from local_hub.eventhub import EventData, HubMessage
from local_hub.eventhub.amqp_message import amqp_message

MODULE = Identity("d1", "m")


def event(**fields: Any) -> EventData:
    given: dict[str, Any] = {"identity": MODULE, "enqueued": 1.5} | fields
    return EventData(sequence_number=5, message=HubMessage(**given))


def on_the_wire(given: EventData) -> amqp.Message:
    return amqp.decode_message(amqp.encode_message(amqp_message(given)))


def test_what_the_hub_knows_is_in_annotations() -> None:
    message = on_the_wire(
        event(
            generation_id="637",
            auth_method='{"scope":"module"}',
            model_id="dtmi:x;1",
            system={
                "subject": "thermostat",
                "interfaceId": "urn:i",
                "creationTimeUtc": "2024-01-01",
                "outputName": "scores",
                "connectionDeviceId": "someone-else",
            },
        )
    )
    assert message.message_annotations == {
        "x-opt-sequence-number": 5,
        "x-opt-offset": "5",
        "x-opt-enqueued-time": Timestamp(1500),
        "x-opt-partition-key": "d1",
        "iothub-connection-device-id": "d1",
        "iothub-connection-module-id": "m",
        "iothub-connection-auth-method": '{"scope":"module"}',
        "iothub-connection-auth-generation-id": "637",
        "iothub-enqueuedtime": Timestamp(1500),
        "iothub-message-source": "Telemetry",
        "dt-dataschema": "dtmi:x;1",
        "dt-subject": "thermostat",
        "iothub-interface-id": "urn:i",
        "iothub-creation-time-utc": "2024-01-01",
        "iothub-outputname": "scores",
    }


def test_the_first_event_and_the_start_of_time_are_annotated_too() -> None:
    first = EventData(sequence_number=0, message=HubMessage(identity=Identity("d1"), enqueued=0.0))
    annotations = on_the_wire(first).message_annotations
    assert annotations is not None
    assert (annotations["x-opt-sequence-number"], annotations["x-opt-enqueued-time"]) == (0, 0)
    assert "iothub-connection-module-id" not in annotations


def test_what_the_sender_said_is_in_properties() -> None:
    system = {
        "messageId": "m1",
        "correlationId": "c1",
        "userId": "u1",
        "to": "/x",
        "contentType": "application/json",
        "contentEncoding": "utf-8",
        "expiry": "1970-01-01T00:00:10Z",
    }
    message = on_the_wire(event(body=b"\x00\xff", properties={"a": "1", "b": None, "c": ""}, system=system))
    assert message.data == b"\x00\xff"
    assert message.application_properties == {"a": "1", "b": "", "c": ""}
    properties = message.properties
    assert properties is not None
    assert (properties.message_id, properties.correlation_id, properties.user_id) == ("m1", "c1", b"u1")
    assert (properties.to, properties.absolute_expiry_time) == ("/x", 10_000)
    assert (properties.content_type, properties.content_encoding) == ("application/json", "utf-8")


def test_a_message_without_properties_has_no_such_section() -> None:
    message = on_the_wire(event())
    assert (message.properties, message.application_properties) == (None, None)


@pytest.mark.parametrize("system", [{"messageId": "m1"}, {"contentType": "text/ümlaut", "messageId": "m1"}])
def test_a_properties_section_never_lacks_a_content_type(system: dict[str, str]) -> None:
    properties = on_the_wire(event(system=system)).properties
    assert properties is not None
    assert (properties.message_id, properties.content_type) == ("m1", "")


def test_an_expiry_that_is_no_time_is_left_out() -> None:
    assert on_the_wire(event(system={"expiry": "0"})).properties is None
