"""Scheduled jobs (REST reference, "Jobs - Create Scheduled Job" and its neighbours)."""

from __future__ import annotations

from local_hub.fronts.rest.call import Call, Reply
from local_hub.fronts.rest.paging import page_of

__all__: list[str] = []


async def create_job(call: Call) -> Reply:
    return Reply(body=await call.hub.jobs.create(call.params["job"], call.json_object()))


async def get_job(call: Call) -> Reply:
    """The job; an unknown id is 200 with type and status ``unknown``, as the service answers."""
    return Reply(body=call.hub.jobs.get(call.params["job"]))


async def cancel_job(call: Call) -> Reply:
    return Reply(body=await call.hub.jobs.cancel(call.params["job"]))


async def query_jobs(call: Call) -> Reply:
    """Jobs by ``jobType`` and ``jobStatus``, a JSON array, paged by ``x-ms-continuation``."""
    rows = call.hub.jobs.query(call.query.get("jobtype"), call.query.get("jobstatus"))
    return page_of(call, rows, item_type="JobResponse")
