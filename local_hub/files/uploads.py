"""Uploads of files by devices: begun, and ended by what the device says of them."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import orjson

from iot_core.clock import Clock, iso
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from iot_core.storage.names import check_blob_name
from iot_core.storage.refusals import StorageRefusal
from local_hub.files.notifications import FileNotifications
from local_hub.files.options import FileUploadOptions
from local_hub.files.rows import Upload, add_upload, end_upload, find_upload
from local_hub.files.storage import FileStorage, Stored
from transport.store import Store

__all__ = ["FileUploads", "Outcome"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a device says of its upload; ``status_code`` and ``description`` are its own and are not looked at."""

    correlation_id: str
    is_success: bool

    @classmethod
    def read(cls, body: Mapping[str, object], correlation_id: str | None = None) -> Outcome:
        """From a JSON body; HubError InvalidFileUploadCorrelationId, ArgumentInvalid for another shape.

        ``correlation_id`` is the one in the path, where a client puts it there.
        """
        given = body.get("correlationId")
        if correlation_id is not None and given not in (None, correlation_id):
            raise hub_error("InvalidFileUploadCorrelationId", "The correlation ids of path and body differ.")
        found = correlation_id if correlation_id is not None else given
        if not isinstance(found, str) or not found:
            raise hub_error("InvalidFileUploadCorrelationId", "correlationId must be the one that the upload got.")
        is_success = body.get("isSuccess")
        if not isinstance(is_success, bool):
            raise hub_error("ArgumentInvalid", "isSuccess must be true or false.")
        if not isinstance(body.get("statusCode", 0), int | None):
            raise hub_error("ArgumentInvalid", "statusCode must be an integer.")
        if not isinstance(body.get("statusDescription", ""), str | None):
            raise hub_error("ArgumentInvalid", "statusDescription must be a text.")
        return cls(correlation_id=found, is_success=is_success)


class FileUploads:
    """``storage`` None: none is configured. ``token_clock`` is the one that signatures go by."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        token_clock: Clock,
        options: FileUploadOptions,
        notifications: FileNotifications,
    ) -> None:
        self._store = store
        self._clock = clock
        self._token_clock = token_clock
        self._options = options
        self._notifications = notifications
        self.storage: FileStorage | None = None

    async def begin(self, device_id: str, blob_name: object, host: str) -> JsonObject:
        """Where the device puts its file, as the REST API answers; ``host`` is the hub as the device calls it.

        HubError DefaultStorageEndpointNotConfigured, ArgumentInvalid, DeviceMaximumActiveFileUploadLimitExceeded.
        """
        storage = self._configured()
        blob = _blob(device_id, blob_name)
        now, ttl = self._clock.now(), self._options.sas_ttl_s
        destination = storage.destination(host, blob, self._token_clock.now() + ttl)
        upload = Upload(
            correlation_id=str(uuid.uuid4()), device_id=device_id, blob=blob, uri=destination.uri, expires=now + ttl
        )
        await self._store.write(lambda connection: add_upload(connection, upload, now))
        return {
            "correlationId": upload.correlation_id,
            "hostName": destination.host_name,
            "containerName": destination.container,
            "blobName": blob,
            "sasToken": destination.token,
        }

    async def end(self, device_id: str, outcome: Outcome) -> None:
        """The device is done with it; services are notified of a success, once the blob has been seen.

        HubError DefaultStorageEndpointNotConfigured, InvalidFileUploadCorrelationId, ExpiredFileUploadCorrelationId,
        InvalidStorageEndpointOrBlob when the blob is not there.
        """
        storage = self._configured()
        find = partial(find_upload, device_id=device_id, correlation_id=outcome.correlation_id, now=self._clock.now())
        upload = self._store.read(find)

        def end(connection: sqlite3.Connection) -> None:
            end_upload(connection, find(connection))

        if not outcome.is_success:
            await self._store.write(end)
            return
        stored = await storage.find(upload.blob)
        if stored is None:
            raise hub_error("InvalidStorageEndpointOrBlob", f"There is no blob {upload.blob!r} in the storage account.")
        await self._notifications.add(lambda now: _notification(upload, stored, now), device_id, also=end)

    def _configured(self) -> FileStorage:
        if self.storage is None:
            text = "File upload is off in this hub: start it with a storage (edgeyard hub run --storage)."
            raise hub_error("DefaultStorageEndpointNotConfigured", text)
        return self.storage


def _blob(device_id: str, name: object) -> str:
    """ "device/name"; HubError ArgumentInvalid."""
    if not isinstance(name, str) or not name:
        raise _bad_name("blobName must be a text that is not empty.")
    if name.endswith((".", "/")) or name.startswith("/"):
        raise _bad_name("blobName must not begin with '/', nor end with '/' or '.'.")
    try:
        return check_blob_name(f"{device_id}/{name}")
    except StorageRefusal:
        raise _bad_name("blobName is too long, or has characters that a blob's name cannot have.") from None


def _bad_name(text: str) -> HubError:
    return hub_error("ArgumentInvalid", text)


def _notification(upload: Upload, stored: Stored, now: float) -> bytes:
    body = {
        "deviceId": upload.device_id,
        "blobUri": upload.uri,
        "blobName": upload.blob,
        "lastUpdatedTime": f"{iso(stored.modified)[:19]}+00:00",
        "blobSizeInBytes": stored.size,
        "enqueuedTimeUtc": iso(now),
    }
    return orjson.dumps(body)
