"""Uploads that devices have begun, as rows. Every function runs inside a ``store.write``."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from iot_core import limits
from iot_core.hub_errors import hub_error

__all__ = ["Upload", "add_upload", "end_upload", "find_upload"]

KEEP_EXPIRED_S = 24 * 3600
"""How long the hub can still tell that an upload has expired from one that it never knew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """``blob`` is "device/name", ``uri`` its address; ``expires`` in unix seconds."""

    correlation_id: str
    device_id: str
    blob: str
    uri: str
    expires: float


def add_upload(connection: sqlite3.Connection, upload: Upload, now: float) -> None:
    """HubError DeviceMaximumActiveFileUploadLimitExceeded."""
    connection.execute("DELETE FROM file_uploads WHERE expires <= ?", (now - KEEP_EXPIRED_S,))
    active = connection.execute(
        "SELECT count(*) FROM file_uploads WHERE device_id = ? AND expires > ?", (upload.device_id, now)
    ).fetchone()[0]
    if active >= limits.UPLOADS_PER_DEVICE:
        text = f"Number of active file upload requests cannot exceed {limits.UPLOADS_PER_DEVICE}."
        raise hub_error("DeviceMaximumActiveFileUploadLimitExceeded", text)
    connection.execute(
        "INSERT INTO file_uploads (correlation_id, device_id, blob, uri, expires) VALUES (?, ?, ?, ?, ?)",
        (upload.correlation_id, upload.device_id, upload.blob, upload.uri, upload.expires),
    )


def find_upload(connection: sqlite3.Connection, device_id: str, correlation_id: str, now: float) -> Upload:
    """HubError InvalidFileUploadCorrelationId, ExpiredFileUploadCorrelationId."""
    row = connection.execute(
        "SELECT correlation_id, device_id, blob, uri, expires FROM file_uploads "
        "WHERE correlation_id = ? AND device_id = ?",
        (correlation_id, device_id),
    ).fetchone()
    if row is None:
        text = f"Device {device_id} has no file upload with this correlation id, or has notified of it before."
        raise hub_error("InvalidFileUploadCorrelationId", text)
    upload = Upload(correlation_id=row[0], device_id=row[1], blob=row[2], uri=row[3], expires=row[4])
    if upload.expires <= now:
        raise hub_error("ExpiredFileUploadCorrelationId", "The file upload has expired: ask for a new one.")
    return upload


def end_upload(connection: sqlite3.Connection, upload: Upload) -> None:
    connection.execute("DELETE FROM file_uploads WHERE correlation_id = ?", (upload.correlation_id,))
