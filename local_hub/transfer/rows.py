"""Import and export jobs as rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from iot_core.clock import iso
from iot_core.json_types import JsonObject
from local_hub.json_text import dump, load
from local_hub.transfer.order import Order

__all__ = ["ACTIVE", "Transfer"]

ACTIVE = ("enqueued", "running")
_NAMES = ("job_id", "orders", "status", "progress", "done", "started", "ended", "failure_reason")
_SELECT = f"SELECT {', '.join(_NAMES)} FROM transfers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """A job; times are unix seconds, ``done`` the bytes of its input that are dealt with, ``progress`` percent."""

    job_id: str
    order: Order
    status: str = "enqueued"
    progress: int = 0
    done: int = 0
    started: float
    ended: float | None = None
    failure_reason: str | None = None

    def document(self) -> JsonObject:
        """A JobProperties, as the REST API prints it."""
        return {
            "jobId": self.job_id,
            "startTimeUtc": iso(self.started),
            "endTimeUtc": None if self.ended is None else iso(self.ended),
            "status": self.status,
            "progress": self.progress,
            "failureReason": self.failure_reason,
            **self.order.document(),
        }


def insert(connection: sqlite3.Connection, transfer: Transfer) -> None:
    """Add a job."""
    values = (transfer.job_id, dump(asdict(transfer.order)), transfer.status, 0, 0, transfer.started, None, None)
    connection.execute(f"INSERT INTO transfers ({', '.join(_NAMES)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def find(connection: sqlite3.Connection, job_id: str) -> Transfer | None:
    """A job; None when there is none of that id."""
    row = connection.execute(f"{_SELECT} WHERE job_id = ?", (job_id,)).fetchone()
    return _from_row(row) if row else None


def select(connection: sqlite3.Connection) -> list[Transfer]:
    """Every job, the oldest first."""
    return [_from_row(row) for row in connection.execute(f"{_SELECT} ORDER BY started, job_id")]


def any_active(connection: sqlite3.Connection) -> bool:
    """Whether a job waits or runs."""
    return connection.execute("SELECT 1 FROM transfers WHERE ended IS NULL").fetchone() is not None


def set_running(connection: sqlite3.Connection, job_id: str) -> None:
    """A job has begun."""
    connection.execute("UPDATE transfers SET status = 'running' WHERE job_id = ?", (job_id,))


def set_progress(connection: sqlite3.Connection, job_id: str, progress: int, done: int, errors: Sequence[str]) -> None:
    """How far a job is, and what came of the lines since the last time."""
    connection.execute("UPDATE transfers SET progress = ?, done = ? WHERE job_id = ?", (progress, done, job_id))
    connection.executemany("INSERT INTO transfer_errors (job_id, line) VALUES (?, ?)", [(job_id, e) for e in errors])


def errors_of(connection: sqlite3.Connection, job_id: str) -> list[str]:
    """The lines of a job's error log."""
    rows = connection.execute("SELECT line FROM transfer_errors WHERE job_id = ? ORDER BY number", (job_id,))
    return [line for (line,) in rows]


def end(connection: sqlite3.Connection, transfer: Transfer, status: str, now: float, reason: str | None) -> None:
    """A job is over: its addresses and its errors, which are in the blob by now, are forgotten."""
    kept = {**asdict(transfer.order), "source": None, "target": ""}
    progress = 100 if status == "completed" else transfer.progress
    connection.execute(
        "UPDATE transfers SET orders = ?, status = ?, progress = ?, ended = ?, failure_reason = ? WHERE job_id = ?",
        (dump(kept), status, progress, now, reason, transfer.job_id),
    )
    connection.execute("DELETE FROM transfer_errors WHERE job_id = ?", (transfer.job_id,))


def forget_before(connection: sqlite3.Connection, horizon: float) -> None:
    """Drop jobs that ended before a time."""
    connection.execute("DELETE FROM transfers WHERE ended < ?", (horizon,))


def _from_row(row: tuple[object, ...]) -> Transfer:
    values = dict(zip(_NAMES, row, strict=True))
    return Transfer(order=Order(**load(values.pop("orders"))), **values)  # type: ignore[arg-type]
