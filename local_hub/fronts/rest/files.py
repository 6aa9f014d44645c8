"""File upload (REST reference, "Device - Create File Upload Sas Uri", "Device - Update File Upload Status")."""

from __future__ import annotations

from local_hub.files.uploads import Outcome
from local_hub.fronts.rest.call import Call, Reply

__all__: list[str] = []


async def begin(call: Call) -> Reply:
    """Where the device puts its file. Its blob is reached by the host that the device called."""
    body = call.json_object()
    host = call.headers.get("host", "")
    return Reply(body=await call.hub.files.uploads.begin(call.identity.device_id, body.get("blobName"), host))


async def end(call: Call) -> Reply:
    """204, for success and failure alike; the correlation id is in the body, or in the path as Node's SDK has it."""
    outcome = Outcome.read(call.json_object(), call.params.get("correlation"))
    await call.hub.files.uploads.end(call.identity.device_id, outcome)
    return Reply(status=204)
