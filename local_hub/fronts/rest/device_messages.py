"""Devices over HTTPS: sending telemetry, receiving and settling cloud-to-device messages (REST reference, "Device").

HTTPS has no twin and no method endpoint, and none for the messages of modules.
"""

from __future__ import annotations

import asyncio

from iot_core import limits
from iot_core.hub_errors import hub_error
from local_hub.fronts.rest.call import Call, Reply
from local_hub.fronts.rest.message_headers import BATCH_TYPE, batch_in, headers_of, message_in

__all__: list[str] = []

_MOST_BATCH_BYTES = 2 * limits.DEVICE_TO_CLOUD_BYTES
"""Messages of 256 KB in all, in base64, with room for the JSON around them."""


async def send_event(call: Call) -> Reply:
    """One message, or a batch when the content type says so; 204 once all of it is on disk."""
    if len(call.payload) > _MOST_BATCH_BYTES:
        raise hub_error("MessageTooLarge", f"{len(call.payload)} bytes were sent; {_MOST_BATCH_BYTES} are allowed.")
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    messages = batch_in(call.payload) if kind == BATCH_TYPE else [message_in(call.header_lines, call.payload)]
    size = sum(message.size for message in messages)
    if size > limits.DEVICE_TO_CLOUD_BYTES:
        raise hub_error("MessageTooLarge", f"{size} bytes were sent; {limits.DEVICE_TO_CLOUD_BYTES} are allowed.")
    telemetry = call.hub.messaging.telemetry
    await asyncio.gather(*(telemetry(call.identity, message, call.principal) for message in messages))
    return Reply(status=204)


async def receive(call: Call) -> Reply:
    """The oldest message that is free, locked for 60 seconds; 204 when there is none."""
    delivery = await call.hub.c2d.receive(call.identity.device_id)
    if delivery is None:
        return Reply(status=204)
    headers = headers_of(delivery)
    headers["Content-Type"] = "application/octet-stream"
    return Reply(content=delivery.message.body, headers=headers)


async def complete_or_reject(call: Call) -> Reply:
    """Complete the message, or reject it when the query has ``reject``, with or without a value."""
    settle = call.hub.c2d.reject if "reject" in call.query else call.hub.c2d.complete
    await settle(call.identity.device_id, call.params["lock"])
    return Reply(status=204)


async def abandon(call: Call) -> Reply:
    await call.hub.c2d.abandon(call.identity.device_id, call.params["lock"])
    return Reply(status=204)
