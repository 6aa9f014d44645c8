"""The jobs of a hub as its job service shows them, the parts of one of ours put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hub_tools.jobs.job_service import ENDED, part_of
from hub_tools.service import HubService, Json
from iot_core.errors import HubError

__all__ = ["HubJob", "cancel_parts", "hub_jobs"]


@dataclass(frozen=True, kw_only=True)
class HubJob:
    """One job: its parts, and their devices by what became of them."""

    job_id: str
    type: str
    status: str
    created: str
    parts: tuple[str, ...]
    devices: int
    pending: int
    succeeded: int
    failed: int

    @property
    def ended(self) -> bool:
        """Whether all parts that the hub knows of have ended."""
        return self.status in ENDED

    def to_json(self) -> Json:
        """For `--output json`."""
        return {
            "job": self.job_id,
            "type": self.type,
            "status": self.status,
            "created": self.created,
            "parts": len(self.parts),
            "devices": self.devices,
            "pending": self.pending,
            "succeeded": self.succeeded,
            "failed": self.failed,
        }


async def hub_jobs(service: HubService) -> list[HubJob]:
    """Those of the last 30 days, the newest first."""
    found: dict[str, list[Json]] = defaultdict(list)
    for job in await service.list_jobs():
        found[part_of(str(job.get("jobId")))].append(job)
    jobs = [_put_together(job_id, parts) for job_id, parts in found.items()]
    return sorted(jobs, key=lambda job: job.created, reverse=True)


async def cancel_parts(service: HubService, job: HubJob) -> tuple[list[str], dict[str, str]]:
    """The parts that are cancelled, and those that are not with the hub's reason: it does not stop what runs."""
    cancelled, refused = [], {}
    for part in job.parts:
        if (await service.get_job(part)).get("status") in ENDED:
            continue
        try:
            await service.cancel_job(part)
            cancelled.append(part)
        except HubError as error:
            refused[part] = error.message
    return cancelled, refused


def _put_together(job_id: str, parts: Sequence[Json]) -> HubJob:
    statuses = [str(part.get("status")) for part in parts]
    unended = [status for status in statuses if status not in ENDED]
    worst = next((status for status in ("failed", "cancelled") if status in statuses), "completed")
    return HubJob(
        job_id=job_id,
        type=str(parts[0].get("type")),
        status=unended[0] if unended else worst,
        created=min(str(part.get("createdTime") or "") for part in parts),
        parts=tuple(str(part.get("jobId")) for part in parts),
        devices=_sum(parts, "deviceCount"),
        pending=_sum(parts, "pendingCount") + _sum(parts, "runningCount"),
        succeeded=_sum(parts, "succeededCount"),
        failed=_sum(parts, "failedCount"),
    )


def _sum(parts: Sequence[Json], name: str) -> int:
    return sum(int((part.get("deviceJobStatistics") or {}).get(name) or 0) for part in parts)
