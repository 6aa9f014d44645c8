"""Digital twins (REST reference, "Digital Twin")."""

from __future__ import annotations

import uuid

import orjson

from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from local_hub.fronts.rest.call import Call, Reply

__all__: list[str] = []

_TIMEOUTS = ("connectTimeoutInSeconds", "responseTimeoutInSeconds")


async def get_digital_twin(call: Call) -> Reply:
    body, etag = call.hub.digital_twins.get(call.identity)
    return Reply(body=body, headers={"ETag": f'"{etag}"'})


async def patch_digital_twin(call: Call) -> Reply:
    """202: what is desired is written; the device has yet to do it."""
    etag = await call.hub.digital_twins.patch(call.identity, call.json(), call.if_match)
    location = f"https://{call.headers.get('host', '')}/digitaltwins/{call.params['device']}"
    return Reply(status=202, headers={"ETag": f'"{etag}"', "Location": location})


async def invoke_command(call: Call) -> Reply:
    """The device's payload as the body, its status in a header."""
    body = _timeouts(call)
    if call.payload.strip():
        body["payload"] = call.json()
    component, command = call.params.get("component"), call.params["command"]
    answer = await call.hub.digital_twins.command(call.identity, component, command, body)
    headers = {"x-ms-command-statuscode": str(answer["status"]), "x-ms-request-id": str(uuid.uuid4())}
    return Reply(content=orjson.dumps(answer["payload"]), headers=headers)


def _timeouts(call: Call) -> JsonObject:
    body: JsonObject = {}
    for name in _TIMEOUTS:
        text = call.query.get(name.lower())
        if text is None:
            continue
        if not text.isascii() or not text.isdigit():
            raise hub_error("ArgumentInvalid", f"{name} must be a whole number of seconds.")
        body[name] = int(text[:9])
    return body
