"""Configurations (REST reference, "Configuration - Create Or Update" and its neighbours)."""

from __future__ import annotations

from local_hub.fronts.rest.call import Call, Reply, etag_header
from local_hub.preconditions import ANY

__all__: list[str] = []


async def get_configuration(call: Call) -> Reply:
    body = await call.hub.configurations.get(call.params["id"])
    return Reply(body=body, headers=etag_header(body))


async def list_configurations(call: Call) -> Reply:
    """All configurations; the service ignores ``top`` too."""
    return Reply(body=await call.hub.configurations.list())


async def put_configuration(call: Call) -> Reply:
    """Create or, with If-Match, update; the service takes an etag without quotes for none at all."""
    quoted = call.headers.get("if-match", "").strip()
    counts = quoted.startswith('"') or quoted == ANY
    body = await call.hub.configurations.put(call.params["id"], call.json_object(), call.if_match if counts else None)
    return Reply(body=body, headers=etag_header(body))


async def delete_configuration(call: Call) -> Reply:
    await call.hub.configurations.delete(call.params["id"], call.if_match)
    return Reply(status=204)


async def test_queries(call: Call) -> Reply:
    """Errors of the queries stand in the body of a 200."""
    return Reply(body=call.hub.configurations.test_queries(call.json_object()))
