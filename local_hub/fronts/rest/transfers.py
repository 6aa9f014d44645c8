"""Import and export jobs (REST reference, "Jobs - Create Import Export Job" and its neighbours)."""

from __future__ import annotations

from local_hub.fronts.rest.call import Call, Reply

__all__: list[str] = []


async def create_transfer(call: Call) -> Reply:
    return Reply(body=await call.hub.transfers.create(call.json_object()))


async def list_transfers(call: Call) -> Reply:
    return Reply(body=call.hub.transfers.list())


async def get_transfer(call: Call) -> Reply:
    return Reply(body=call.hub.transfers.get(call.params["job"]))


async def cancel_transfer(call: Call) -> Reply:
    await call.hub.transfers.cancel(call.params["job"])
    return Reply(status=204)
