"""Bulk twin updates by IoT Hub's own job service, followed until the devices acknowledge.

A job tells that the hub has written the desired properties; whether a device took them over stands in its reported
properties. Our devices answer by the acknowledged property `{"value", "ac", "av", "ad"}` of the IoT Plug and Play
conventions, 'Writable properties': `ac` is the outcome (200 applied, 4xx refused) and `av` the desired version meant.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hub_tools.service import HubService, Json
from iot_core.clock import from_iso
from iot_core.errors import EdgeyardError, InputError
from iot_core.identity import Identity

__all__ = [
    "JobFailedError",
    "JobProgress",
    "JobReport",
    "NoDeviceMatchesError",
    "Phase",
    "TwinUpdate",
    "run_twin_job",
]

JOB_POLL_S = 0.3
ACKNOWLEDGEMENT_POLL_S = 0.5
POLL_GROWTH, LONGEST_POLL_S = 1.5, 5.0
"""Each look comes that much later than the one before: a hub of one small unit answers 20 queries a minute."""
READ_BACK_MOST, READ_BACK_AT_ONCE = 200, 10
"""Twins of silent devices that are read one by one in the end, since the index of queries lags behind; and how many at
a time.
"""
CLOCKS_APART_S = 1.0
"""By so much may the clocks differ that stamp a job and the twins it writes."""
QUERY_BUDGET_CHARACTERS = 7000
"""Room for device ids in one query; the hub takes 8192 characters in all."""
FINAL_STATUSES = frozenset({"completed", "failed", "cancelled"})


class JobFailedError(EdgeyardError):
    """The hub ended the job without having carried it out."""


class NoDeviceMatchesError(EdgeyardError):
    """The condition matches no device, so there is nothing to do."""


@dataclass(frozen=True, kw_only=True)
class TwinUpdate:
    """What a job sets: `desired` and `tags` are merge patches (null deletes) for every device that `where` matches.

    `where` is the part of a query after WHERE; `*` means every device.
    """

    where: str
    desired: Json = field(default_factory=dict)
    tags: Json = field(default_factory=dict)
    job_id: str = field(default_factory=lambda: f"job-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        if not self.where.strip():
            raise InputError(
                "A job needs a condition: --where \"tags.building = 'B1'\", or --where '*' for all devices."
            )
        if not self.desired and not self.tags:
            raise InputError("A job needs something to set: --desired NAME=VALUE or --tag NAME=VALUE.")

    def body(self) -> Json:
        """The job as `PUT /jobs/v2/{id}` takes it; the hub accepts only `*` as the twin's ETag."""
        twin: Json = {"etag": "*"}
        if self.tags:
            twin["tags"] = self.tags
        if self.desired:
            twin["properties"] = {"desired": self.desired}
        return {"type": "scheduleUpdateTwin", "queryCondition": self.where, "updateTwin": twin}


class Phase(StrEnum):
    """What a job is waiting for."""

    HUB = "hub"
    DEVICES = "devices"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """Counts of devices: matched by the condition, written by the hub, failed there, acknowledged, refused."""

    phase: Phase
    matched: int
    written: int = 0
    failed: int = 0
    acknowledged: int = 0
    refused: int = 0


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """How a job ended, with the devices that did not follow: refusals give the device's own reason."""

    job_id: str
    matched: int
    written: int
    failed: int
    acknowledged: int
    refused: Mapping[str, str]
    silent: Sequence[str]

    @property
    def complete(self) -> bool:
        """Whether every matched device was written and, where that was awaited, has acknowledged."""
        return not (self.failed or self.refused or self.silent) and self.written == self.matched


async def run_twin_job(
    service: HubService,
    update: TwinUpdate,
    *,
    on_progress: Callable[[JobProgress], None] = lambda progress: None,
    acknowledgement_timeout_s: float | None = 60.0,
) -> JobReport:
    """Runs `update` as a job of the hub and waits until each matched device acknowledged its desired properties.

    `acknowledgement_timeout_s=None` does not wait for devices; tags alone are never acknowledged. Raises
    `NoDeviceMatchesError`, `JobFailedError`, and `HubError` for a condition the hub refuses.
    """
    devices = [str(row["deviceId"]) async for row in service.query(_select("deviceId", update.where))]
    if not devices:
        raise NoDeviceMatchesError(
            f'No device matches: {update.where}. Look with: edgeyard query "SELECT * FROM devices"'
        )
    on_progress(JobProgress(phase=Phase.HUB, matched=len(devices)))
    job = await _hub_part(service, update, len(devices), on_progress)
    statistics = job.get("deviceJobStatistics") or {}
    written, failed = int(statistics.get("succeededCount", 0)), int(statistics.get("failedCount", 0))
    answers = _Answers(pending=set(devices))
    if update.desired and acknowledgement_timeout_s is not None:
        await _device_part(
            service,
            update,
            answers,
            _created(job),
            acknowledgement_timeout_s,
            lambda: on_progress(
                JobProgress(
                    phase=Phase.DEVICES, matched=len(devices), written=written, failed=failed, **answers.counts()
                )
            ),
        )
    else:
        answers.pending.clear()
    report = JobReport(
        job_id=update.job_id,
        matched=len(devices),
        written=written,
        failed=failed,
        acknowledged=answers.acknowledged,
        refused=answers.refused,
        silent=sorted(answers.pending),
    )
    on_progress(JobProgress(phase=Phase.DONE, matched=len(devices), written=written, failed=failed, **answers.counts()))
    return report


@dataclass
class _Answers:
    """Devices by what they said so far."""

    pending: set[str]
    acknowledged: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        return {"acknowledged": self.acknowledged, "refused": len(self.refused)}

    def take(self, device_id: str, verdict: str | None) -> None:
        self.pending.discard(device_id)
        if verdict is None:
            self.acknowledged += 1
        else:
            self.refused[device_id] = verdict


async def _hub_part(
    service: HubService, update: TwinUpdate, matched: int, on_progress: Callable[[JobProgress], None]
) -> Json:
    """The job once it has completed; JobFailedError."""
    job = await service.create_job(update.job_id, update.body())
    pauses = _pauses(JOB_POLL_S)
    while job.get("status") not in FINAL_STATUSES:
        await asyncio.sleep(next(pauses))
        job = await service.get_job(update.job_id)
        statistics = job.get("deviceJobStatistics") or {}
        on_progress(
            JobProgress(
                phase=Phase.HUB,
                matched=int(statistics.get("deviceCount") or matched),
                written=int(statistics.get("succeededCount", 0)),
                failed=int(statistics.get("failedCount", 0)),
            )
        )
    if job["status"] != "completed":
        reason = job.get("failureReason") or job.get("statusMessage") or "no reason given"
        raise JobFailedError(f"Job {update.job_id} ended as {job['status']}: {reason}")
    return job


async def _device_part(
    service: HubService,
    update: TwinUpdate,
    answers: _Answers,
    since: float,
    timeout_s: float,
    on_change: Callable[[], None],
) -> None:
    deadline = time.monotonic() + timeout_s
    pauses = _pauses(ACKNOWLEDGEMENT_POLL_S)
    while True:
        async for device_id, verdict in _verdicts(service, update, sorted(answers.pending), since):
            answers.take(device_id, verdict)
        on_change()
        left = deadline - time.monotonic()
        if answers.pending and left <= 0:
            await _read_back(service, update, answers, since)
            on_change()
        if not answers.pending or left <= 0:
            return
        await asyncio.sleep(min(next(pauses), left))


async def _read_back(service: HubService, update: TwinUpdate, answers: _Answers, since: float) -> None:
    """Ask the twins themselves for the last word of devices that are silent so far, where they are not too many."""
    if len(answers.pending) > READ_BACK_MOST:
        return
    gate = asyncio.Semaphore(READ_BACK_AT_ONCE)

    async def read(device_id: str) -> None:
        async with gate:
            twin = await service.get_twin(Identity(device_id))
        verdict = _verdict(update, twin["properties"], since)
        if verdict is not _PENDING:
            answers.take(device_id, verdict or None)

    await asyncio.gather(*map(read, sorted(answers.pending)))


def _pauses(first_s: float) -> Iterator[float]:
    """Between looks at what changes by itself."""
    while True:
        yield first_s
        first_s = min(first_s * POLL_GROWTH, LONGEST_POLL_S)


def _created(job: Json) -> float:
    """When the hub took the job, in unix seconds of its clock; 0.0 when it does not say."""
    created = str(job.get("createdTime") or "")
    return from_iso(created) if created else 0.0


async def _verdicts(
    service: HubService, update: TwinUpdate, devices: Sequence[str], since: float
) -> AsyncIterator[tuple[str, str | None]]:
    """Device and its verdict (None: acknowledged; else why it refused) for those that have answered."""
    for condition in _id_conditions(devices):
        async for row in service.query(_select("deviceId, properties", condition)):
            verdict = _verdict(update, row["properties"], since)
            if verdict is not _PENDING:
                yield str(row["deviceId"]), verdict or None


_PENDING = "pending"


def _verdict(update: TwinUpdate, properties: Json, since: float) -> str:
    """What the twin says of all settings: "" acknowledged, `_PENDING`, or why they were refused."""
    outcomes = {name: _outcome(properties, name, since) for name in sorted(update.desired)}
    if any(outcome is _PENDING for outcome in outcomes.values()):
        return _PENDING
    return "; ".join(f"{name}: {outcome}" for name, outcome in outcomes.items() if outcome)


def _outcome(properties: Json, name: str, since: float) -> str:
    """What the twin says of one setting: "" acknowledged, `_PENDING`, or the device's reason for refusing it.

    The index that answers queries lags behind: a twin in which the setting was last written before the job (`since`)
    is an old one, and its answer is to what was asked before.
    """
    desired, reported = properties.get("desired", {}), properties.get("reported", {})
    metadata = desired.get("$metadata", {}).get(name, {})
    written = metadata.get("$lastUpdated")
    if written and from_iso(written) < since - CLOCKS_APART_S:
        return _PENDING
    changed = metadata.get("$lastUpdatedVersion", desired.get("$version", 0))
    answer = reported.get(name)
    if not isinstance(answer, dict) or not isinstance(answer.get("av"), int) or answer["av"] < changed:
        return _PENDING
    code = answer.get("ac")
    if code == 200:
        return ""
    return _PENDING if code == 202 else str(answer.get("ad") or f"answered {code}")


def _id_conditions(devices: Sequence[str]) -> Iterator[str]:
    """Conditions `deviceId IN [...]` that name all devices, each short enough for one query."""
    chunk: list[str] = []
    length = 0
    for quoted in ("'" + device.replace("'", "''") + "'" for device in devices):
        if chunk and length + len(quoted) + 1 > QUERY_BUDGET_CHARACTERS:
            yield f"deviceId IN [{','.join(chunk)}]"
            chunk, length = [], 0
        chunk.append(quoted)
        length += len(quoted) + 1
    if chunk:
        yield f"deviceId IN [{','.join(chunk)}]"


def _select(what: str, where: str) -> str:
    condition = "" if where.strip() == "*" else f" WHERE {where}"
    return f"SELECT {what} FROM devices{condition}"
