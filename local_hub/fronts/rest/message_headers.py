"""Messages in HTTP: properties as headers ``iothub-app-NAME``, system properties as headers of their own (REST
reference, "Device - Send Device Event", "Device - Receive Device Bound Notification").
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson

from iot_core.clock import iso
from iot_core.hub_errors import hub_error
from iot_core.message import Message
from local_hub.c2d.cloud_to_device import Delivery
from local_hub.c2d.messages import ACK_PROPERTY

__all__ = ["BATCH_TYPE", "batch_in", "headers_of", "message_in"]

BATCH_TYPE = "application/vnd.microsoft.iothub.json"
"""The content type of a body that holds many messages."""

_APP = "iothub-app-"
_SYSTEM = {
    "iothub-messageid": "messageId",
    "iothub-correlationid": "correlationId",
    "iothub-userid": "userId",
    "iothub-to": "to",
    "iothub-expiry": "expiry",
    "iothub-contenttype": "contentType",
    "iothub-contentencoding": "contentEncoding",
    "iothub-interface-id": "interfaceId",
    "dt-subject": "subject",
}
"""Header, in lower case → the system property of a device-to-cloud message."""
_DEVICEBOUND = {name: header for header, name in _SYSTEM.items()}
# What stays as it is in a header; everything else that is not printable ASCII, and "%", is percent-encoded.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
# The same for a header's name (RFC 9110, section 5.6.2).
_NAME_PLAIN = "!#$&'*+-.^_`|~"


def message_in(headers: Iterable[tuple[str, str]], body: bytes) -> Message:
    """The message that headers and body carry; names of properties keep their case, unknown headers are passed over."""
    properties: dict[str, str | None] = {}
    system: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_APP) and len(lower) > len(_APP):
            properties[name[len(_APP) :]] = value
        elif lower == ACK_PROPERTY:
            properties[ACK_PROPERTY] = value
        elif lower in _SYSTEM:
            system[_SYSTEM[lower]] = value
    return Message(body, properties, system)


def batch_in(body: bytes) -> list[Message]:
    """The messages of a batch: a JSON array of ``{"body": BASE64, "properties": {HEADER: TEXT}}``.

    HubError IotHubFormatError, or ArgumentInvalid for another shape.
    """
    try:
        items = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise hub_error("IotHubFormatError", f"The batch is not valid JSON: {error}.") from error
    if not isinstance(items, list):
        raise hub_error("ArgumentInvalid", "A batch must be a JSON array of messages.")
    return [_batched(item, number) for number, item in enumerate(items)]


def headers_of(delivery: Delivery) -> dict[str, str]:
    """The headers of a cloud-to-device message; ``ETag`` holds its lock token in quotes."""
    message = delivery.message
    headers = {"ETag": f'"{delivery.lock_token}"'}
    headers |= {_DEVICEBOUND[name]: _text(value) for name, value in message.system.items()}
    own = dict(message.properties)
    if ack := own.pop(ACK_PROPERTY, None):
        headers[ACK_PROPERTY] = _text(ack)
    headers["iothub-enqueuedtime"] = iso(delivery.enqueued)
    headers["iothub-deliverycount"] = str(delivery.delivery_count)
    headers["iothub-sequencenumber"] = str(delivery.sequence)
    return headers | {f"{_APP}{quote(name, safe=_NAME_PLAIN)}": _text(value or "") for name, value in own.items()}


def _batched(item: Any, number: int) -> Message:
    if not isinstance(item, dict) or not isinstance(item.get("body"), str):
        raise hub_error("ArgumentInvalid", f"Message {number} of the batch has no body in base64.")
    properties = item.get("properties") or {}
    if not isinstance(properties, dict) or not all(isinstance(value, str) for value in properties.values()):
        raise hub_error("ArgumentInvalid", f"The properties of message {number} must be an object of texts.")
    try:
        body = base64.b64decode(item["body"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise hub_error("ArgumentInvalid", f"The body of message {number} is not base64.") from error
    return message_in(properties.items(), body)


def _text(value: str) -> str:
    return quote(value, safe=_PLAIN)
