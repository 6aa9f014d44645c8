"""An event as clients of Event Hubs see it (IoT Hub documentation, "Read device-to-cloud messages from the built-in
endpoint", "Create and read IoT Hub messages").

What the hub knows of the sender is in message annotations, the sender's own properties are application properties, and
messageId, correlationId, userId, to, contentType, contentEncoding and expiry are AMQP properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from iot_core import amqp
from iot_core.amqp.types import Timestamp, Value
from iot_core.amqp_messages import properties_of
from local_hub.eventhub.partitions import EventData

__all__ = ["amqp_message"]

_ANNOTATIONS: Mapping[str, str] = MappingProxyType(
    {
        "subject": "dt-subject",
        "interfaceId": "iothub-interface-id",
        "creationTimeUtc": "iothub-creation-time-utc",
        "messageSchema": "iothub-message-schema",
        "outputName": "iothub-outputname",
    }
)
"""System property that the sender gave → annotation."""


def amqp_message(event: EventData) -> amqp.Message:
    """The message to send to a reader. Times are milliseconds; a property without a value is an empty text."""
    message = event.message
    return amqp.Message(
        message_annotations=dict(_annotations(event)),
        properties=properties_of(message.system),
        application_properties={name: value or "" for name, value in message.properties.items()} or None,
        body=amqp.Data((message.body,)),
    )


def _annotations(event: EventData) -> dict[str, Value]:
    message = event.message
    enqueued = Timestamp(round(message.enqueued * 1000))
    annotations: dict[str, Value] = {
        "x-opt-sequence-number": event.sequence_number,
        "x-opt-offset": event.offset,
        "x-opt-enqueued-time": enqueued,
        "x-opt-partition-key": message.identity.device_id,
        "iothub-connection-device-id": message.identity.device_id,
        "iothub-connection-module-id": message.identity.module_id,
        "iothub-connection-auth-method": message.auth_method,
        "iothub-connection-auth-generation-id": message.generation_id,
        "iothub-enqueuedtime": enqueued,
        "iothub-message-source": message.source,
        "dt-dataschema": message.model_id,
        **{annotation: message.system.get(name) for name, annotation in _ANNOTATIONS.items()},
    }
    return {name: value for name, value in annotations.items() if value not in (None, "")}
