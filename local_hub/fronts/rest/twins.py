"""Twins, direct methods and queries (REST reference, "Devices - Get Twin", "Invoke Method", "Query")."""

from __future__ import annotations

from iot_core.hub_errors import hub_error
from local_hub.fronts.rest.call import Call, Reply, etag_header
from local_hub.fronts.rest.paging import continuation_of, page_reply, page_size

__all__: list[str] = []


async def get_twin(call: Call) -> Reply:
    body = call.hub.twins.get(call.identity)
    return Reply(body=body, headers=etag_header(body))


async def patch_twin(call: Call) -> Reply:
    body = await call.hub.twins.patch(call.identity, call.json_object(), call.if_match)
    return Reply(body=body, headers=etag_header(body))


async def replace_twin(call: Call) -> Reply:
    body = await call.hub.twins.replace(call.identity, call.json_object(), call.if_match)
    return Reply(body=body, headers=etag_header(body))


async def invoke_method(call: Call) -> Reply:
    return Reply(body=await call.hub.methods.invoke(call.identity, call.json_object()))


async def query(call: Call) -> Reply:
    """One page of a query's rows; ``x-ms-max-item-count`` sets its size."""
    text = call.json_object().get("query")
    if not isinstance(text, str):
        raise hub_error("ArgumentInvalid", "BadRequest")
    page = await call.hub.twins.query(text, page_size(call), continuation_of(call))
    return page_reply(page.rows, page.item_type, page.continuation)
