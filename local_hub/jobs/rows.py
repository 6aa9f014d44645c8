"""Jobs and their devices as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iot_core.clock import iso
from iot_core.identity import Identity
from iot_core.json_types import JsonObject
from local_hub.json_text import dump, load
from transport.store import Store

__all__ = ["ACTIVE", "Job", "Outcome"]

WORK_KEYS = {"scheduleUpdateTwin": "updateTwin", "scheduleDeviceMethod": "cloudToDeviceMethod"}
"""Job type → the member that says what to do."""

ACTIVE = ("queued", "scheduled", "running")
_NAMES = (
    *("job_id", "type", "status", "query_condition", "work", "created", "start", "ended", "max_execution_s"),
    *("failure_reason", "targeted", "device_count", "succeeded", "failed"),
)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM jobs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job; times are unix seconds."""

    job_id: str
    type: str
    status: str
    query_condition: str
    work: JsonObject
    created: float
    start: float
    ended: float | None = None
    max_execution_s: int
    failure_reason: str | None = None
    targeted: bool = False
    device_count: int = 0
    succeeded: int = 0
    failed: int = 0

    def document(self, running: int = 0) -> JsonObject:
        """A JobResponse, as the REST API prints it; ``running`` devices are being called right now."""
        pending = max(self.device_count - self.succeeded - self.failed - running, 0)
        document: JsonObject = {
            "jobId": self.job_id,
            "type": self.type,
            "status": self.status,
            "queryCondition": self.query_condition,
            "createdTime": iso(self.created),
            "startTime": iso(self.start),
            "maxExecutionTimeInSeconds": self.max_execution_s,
            WORK_KEYS[self.type]: self.work,
            "deviceJobStatistics": {
                "deviceCount": self.device_count,
                "failedCount": self.failed,
                "succeededCount": self.succeeded,
                "runningCount": running if self.status == "running" else 0,
                "pendingCount": pending if self.status in ACTIVE else 0,
            },
        }
        if self.ended is not None:
            document["endTime"] = iso(self.ended)
        if self.failure_reason is not None:
            document["failureReason"] = self.failure_reason
        return document


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a job ended on one device; ``error`` None means well."""

    identity: Identity
    outcome: JsonObject | None = None
    error: JsonObject | None = None


def insert(connection: sqlite3.Connection, job: Job) -> None:
    """Add a job."""
    values = [getattr(job, name) for name in _NAMES]
    values[_NAMES.index("work")] = dump(job.work)
    connection.execute(f"INSERT INTO jobs ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})", values)


def find(connection: sqlite3.Connection, job_id: str) -> Job | None:
    """A job; None when there is none of that id."""
    row = connection.execute(f"{_SELECT} WHERE job_id = ?", (job_id,)).fetchone()
    return _from_row(row) if row else None


def select(connection: sqlite3.Connection, job_type: str | None, status: str | None) -> list[Job]:
    """Jobs of a type and status (None: any), the oldest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE (:type IS NULL OR type = :type) AND (:status IS NULL OR status = :status) "
        "ORDER BY created, job_id",
        {"type": job_type, "status": status},
    )
    return [_from_row(row) for row in rows]


def count_active(connection: sqlite3.Connection) -> int:
    """Jobs that hold a slot: waiting for their time, running, or about to."""
    return int(
        connection.execute("SELECT count(*) FROM jobs WHERE status IN ('queued', 'scheduled', 'running')").fetchone()[0]
    )


def set_status(
    connection: sqlite3.Connection, job_id: str, status: str, *, ended: float | None = None, reason: str | None = None
) -> None:
    """Move a job to another state."""
    connection.execute(
        "UPDATE jobs SET status = ?, ended = ?, failure_reason = ? WHERE job_id = ?", (status, ended, reason, job_id)
    )


def add_targets(connection: sqlite3.Connection, job_id: str, targets: Sequence[tuple[str, str]], now: float) -> None:
    """Add (device id, module id) pairs as pending; those that are there already stay as they are."""
    connection.execute(
        "INSERT OR IGNORE INTO device_jobs (job_id, device_id, module_id, status, created, updated) "
        "SELECT :job, json_extract(value, '$[0]'), json_extract(value, '$[1]'), 'pending', :now, :now "
        "FROM json_each(:targets)",
        {"job": job_id, "targets": dump(targets), "now": now},
    )


def set_targeted(connection: sqlite3.Connection, job_id: str) -> None:
    """Note that every target of the job is there."""
    connection.execute(
        "UPDATE jobs SET targeted = 1, device_count = (SELECT count(*) FROM device_jobs WHERE job_id = :job) "
        "WHERE job_id = :job",
        {"job": job_id},
    )


def waiting(connection: sqlite3.Connection, job_id: str, count: int) -> list[Identity]:
    """The next targets that are not begun, in the order of their ids."""
    rows = connection.execute(
        # SQLite would choose the primary key, and pass over all that is done.
        "SELECT device_id, module_id FROM device_jobs INDEXED BY device_jobs_waiting "
        "WHERE job_id = ? AND status = 'pending' ORDER BY device_id, module_id LIMIT ?",
        (job_id, count),
    )
    return [Identity(device_id, module_id or None) for device_id, module_id in rows]


def has_waiting(store: Store, job_id: str) -> bool:
    """Whether any target is not begun."""
    return bool(store.read(lambda connection: waiting(connection, job_id, 1)))


def start_again(connection: sqlite3.Connection, job_id: str) -> None:
    """Put targets that were under way when the hub stopped back among those that are not begun."""
    connection.execute(
        "UPDATE device_jobs SET status = 'pending', started = NULL WHERE job_id = ? AND status = 'running'", (job_id,)
    )


def start_devices(connection: sqlite3.Connection, job_id: str, targets: Sequence[Identity], now: float) -> None:
    """Note that the job has begun on some of its devices."""
    connection.executemany(
        "UPDATE device_jobs SET status = 'running', started = ?, updated = ? "
        "WHERE job_id = ? AND device_id = ? AND module_id = ?",
        [(now, now, job_id, target.device_id, target.module_id or "") for target in targets],
    )


def finish_devices(
    connection: sqlite3.Connection, job_id: str, outcomes: Sequence[Outcome], started: float, now: float
) -> None:
    """Write how the job ended on some of its devices, and count them."""
    connection.executemany(
        "UPDATE device_jobs SET status = ?, outcome = ?, error = ?, started = ?, ended = ?, updated = ? "
        "WHERE job_id = ? AND device_id = ? AND module_id = ?",
        [_outcome_row(job_id, outcome, started, now) for outcome in outcomes],
    )
    failed = sum(outcome.error is not None for outcome in outcomes)
    connection.execute(
        "UPDATE jobs SET succeeded = succeeded + ?, failed = failed + ? WHERE job_id = ?",
        (len(outcomes) - failed, failed, job_id),
    )


def cancel_waiting(connection: sqlite3.Connection, job_id: str, now: float) -> None:
    """Give up on every target that is not done."""
    connection.execute(
        "UPDATE device_jobs SET status = 'canceled', ended = :now, updated = :now "
        "WHERE job_id = :job AND status IN ('pending', 'running')",
        {"job": job_id, "now": now},
    )


def forget_before(connection: sqlite3.Connection, moment: float) -> None:
    """Drop jobs that ended before a moment, with their devices."""
    connection.execute("DELETE FROM jobs WHERE ended < ?", (moment,))


def device_document(row: Sequence[Any]) -> JsonObject:
    """A row of DEVICE_ROWS as a query over devices.jobs reads it."""
    device_id, module_id, job_id, kind, status, started, ended, created, updated, outcome, error = row
    document: JsonObject = {
        "deviceId": device_id,
        **({"moduleId": module_id} if module_id else {}),
        "jobId": job_id,
        "jobType": kind,
        "status": status,
        "startTimeUtc": None if started is None else iso(started),
        "endTimeUtc": None if ended is None else iso(ended),
        "createdDateTimeUtc": iso(created),
        "lastUpdatedDateTimeUtc": iso(updated),
        "outcome": load(outcome) if outcome else {"deviceMethodResponse": None},
    }
    return document | ({"error": load(error)} if error else {})


DEVICE_ROWS = (
    "SELECT d.device_id, d.module_id, d.job_id, j.type, d.status, d.started, d.ended, d.created, d.updated, d.outcome, "
    "d.error FROM device_jobs AS d JOIN jobs AS j USING (job_id)"
)


def _outcome_row(job_id: str, outcome: Outcome, started: float, now: float) -> tuple[Any, ...]:
    return (
        "completed" if outcome.error is None else "failed",
        None if outcome.outcome is None else dump(outcome.outcome),
        None if outcome.error is None else dump(outcome.error),
        started,
        now,
        now,
        job_id,
        outcome.identity.device_id,
        outcome.identity.module_id or "",
    )


def _from_row(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_NAMES, row, strict=True))
    return Job(**{**values, "work": load(values["work"]), "targeted": bool(values["targeted"])})
