"""POST /c2d on the admin door: sends a cloud-to-device message without AMQP, for tests and for people at this machine.

The body is JSON: ``deviceId``; ``body``, a text, or ``bodyBase64``; and as far as wanted ``properties`` (texts or
null), ``ack``, ``messageId`` (else a random one), ``correlationId``, ``userId``, ``expiryTimeUtc``, ``contentType`` and
``contentEncoding``. The answer is 201 with ``{"messageId", "sequenceNumber", "enqueuedTimeUtc"}`` once the message is
on disk.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

import orjson
from aiohttp import web

from iot_core.clock import iso
from iot_core.hub_errors import hub_error
from iot_core.message import Message
from local_hub.c2d.messages import ACK_PROPERTY
from local_hub.hub import Hub

__all__ = ["post_c2d"]

_SYSTEM = {
    "messageId": "messageId",
    "correlationId": "correlationId",
    "userId": "userId",
    "expiryTimeUtc": "expiry",
    "contentType": "contentType",
    "contentEncoding": "contentEncoding",
}
_OTHERS = ("deviceId", "body", "bodyBase64", "properties", "ack")


async def post_c2d(hub: Hub, request: web.BaseRequest) -> web.Response:
    """Send what the request asks for; HubError as ``CloudToDevice.send``, ArgumentInvalid for another body."""
    given = _object(await request.read())
    given.setdefault("messageId", str(uuid.uuid4()))
    device_id = given.get("deviceId")
    if not isinstance(device_id, str):
        raise hub_error("ArgumentInvalid", "deviceId must say for which device the message is.")
    sent = await hub.c2d.send(device_id, _message(given))
    answer = {
        "messageId": given["messageId"],
        "sequenceNumber": sent.sequence,
        "enqueuedTimeUtc": iso(sent.enqueued),
    }
    return web.Response(status=201, body=orjson.dumps(answer), content_type="application/json")


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise hub_error("IotHubFormatError", f"The body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise hub_error("ArgumentInvalid", "The body must be a JSON object.")
    if unknown := value.keys() - {*_SYSTEM, *_OTHERS}:
        raise hub_error("ArgumentInvalid", f"{min(unknown)[:80]!r} is no part of a cloud-to-device message.")
    return value


def _message(given: dict[str, Any]) -> Message:
    properties = given.get("properties") or {}
    if not isinstance(properties, dict) or not all(isinstance(value, str | None) for value in properties.values()):
        raise hub_error("ArgumentInvalid", "properties must be an object of texts.")
    system = {name: given[field] for field, name in _SYSTEM.items() if given.get(field) is not None}
    if not all(isinstance(value, str) for value in (*system.values(), given.get("ack") or "")):
        raise hub_error("ArgumentInvalid", "System properties and ack must be texts.")
    ack = {ACK_PROPERTY: given["ack"]} if given.get("ack") else {}
    return Message(_body(given), properties | ack, system)


def _body(given: dict[str, Any]) -> bytes:
    text, encoded = given.get("body", ""), given.get("bodyBase64", "")
    if not isinstance(text, str) or not isinstance(encoded, str) or (text and encoded):
        raise hub_error("ArgumentInvalid", "The message needs body, a text, or bodyBase64, a text in base64.")
    try:
        return text.encode() or base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise hub_error("ArgumentInvalid", "bodyBase64 is not base64.") from error
