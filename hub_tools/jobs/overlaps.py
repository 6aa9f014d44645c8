"""Other jobs that may take some of the same devices: those of the hub's job service, and those with a journal here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hub_tools.groups import EVERY_DEVICE
from hub_tools.jobs.forecast import Overlap
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.job_service import part_of
from hub_tools.jobs.journals import JournalSummary, unended
from hub_tools.jobs.population import count
from hub_tools.jobs.storage import Jobs
from hub_tools.service import HubService, Json
from iot_core.errors import HubError, InputError
from iot_core.limits import QUERY_CHARACTERS

__all__ = ["find_overlaps"]

UNENDED = ("running", "queued", "scheduled", "enqueued")


async def find_overlaps(service: HubService, spec: JobSpec, jobs: Path | Jobs | None) -> tuple[Overlap, ...]:
    """Jobs that have not ended and may take some of the devices of `spec`; `jobs` is where journals are looked for.

    A job of the hub's job service that is a part of one with a journal is not told a second time. Raises HubError, and
    StoreError where the journals cannot be reached.
    """
    found, ours = [], await asyncio.to_thread(unended, jobs) if jobs is not None else []
    here = {job.job_id: job for job in ours if job.host_name in ("", service.host_name) and job.job_id != spec.job_id}
    for journal in here.values():
        found.append(await _with_journal(service, spec, journal))
    for job in await service.list_jobs():
        if job.get("status") in UNENDED and part_of(str(job.get("jobId"))) not in here:
            found.append(await _of_the_hub(service, spec, job))
    return tuple(overlap for overlap in found if overlap.devices != 0)


async def _with_journal(service: HubService, spec: JobSpec, journal: JournalSummary) -> Overlap:
    other = journal.spec or spec
    return Overlap(
        job_id=journal.job_id,
        status=journal.rollout or "unfinished",
        operator=journal.operator,
        devices=await _both(service, spec.where, other.where),
        values=_shared(spec, other),
    )


async def _of_the_hub(service: HubService, spec: JobSpec, job: Json) -> Overlap:
    return Overlap(
        job_id=str(job.get("jobId")),
        status=str(job["status"]),
        devices=await _both(service, spec.where, str(job.get("queryCondition") or EVERY_DEVICE)),
        values=_shared(spec, _spec_of(job)),
    )


async def _both(service: HubService, one: str, other: str) -> int | None:
    """Devices that two conditions both match; None when that cannot be asked."""
    conditions = [f"({each})" for each in (one, other) if each.strip() != EVERY_DEVICE]
    if sum(map(len, conditions)) > QUERY_CHARACTERS - 100:
        return None
    try:
        return await count(service, " AND ".join(conditions) or EVERY_DEVICE)
    except (HubError, InputError):
        return None


def _shared(spec: JobSpec, other: JobSpec | None) -> tuple[str, ...]:
    """The values that both set."""
    return tuple(sorted(set(map(str, spec.touched)) & set(map(str, other.touched)))) if other else ()


def _spec_of(job: Json) -> JobSpec | None:
    """What a job of the hub sets; None where it sets nothing."""
    update = job.get("updateTwin") or {}
    if not isinstance(update, dict):
        return None
    tags, desired = update.get("tags") or {}, (update.get("properties") or {}).get("desired") or {}
    return JobSpec(where=EVERY_DEVICE, tags=tags, desired=desired) if tags or desired else None
