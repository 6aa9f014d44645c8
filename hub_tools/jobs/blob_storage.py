"""Journals in a container of Azure Blob Storage, so that a colleague elsewhere can watch, resume and undo.

Under JOB/ lie numbered segments, one for each sync; a segment is written only if there is none of that number yet, so
two writers can never both add. A segment whose name ends in `-start` stands in place of all before it. The lease is a
blob with its holder and the time that it runs out, changed by If-Match only; it is renewed while its holder lives.
Needs azure-storage-blob (`pip install 'edgeyard[azure]'`).
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from hub_tools.jobs.storage import JobStorage, JournalBusyError
from iot_core.clock import Clock, SystemClock, iso
from iot_core.errors import InputError, StoreError

__all__ = ["BlobJobs", "BlobStorage", "is_blob_place"]

LEASE_S = 60.0
LOOK_S = 2.0
RENEWED_PER_LEASE = 3
START = "-start"
WRITER = "writer"
"""Metadata of a segment: the token of the lease that it was written under."""


def is_blob_place(text: str) -> bool:
    """Whether a place of journals is a container: its URL with a SAS, or `CONNECTION STRING;Container=NAME`."""
    return text.startswith(("https://", "http://")) or "AccountName=" in text


class BlobJobs:
    """All journals of a container, to be closed. InputError for a text that names none, or without the package."""

    def __init__(
        self, place: str, *, ca_file: str | None = None, clock: Clock | None = None, lease_s: float = LEASE_S
    ) -> None:
        self._container = _container(place, ca_file)
        self._clock = clock or SystemClock()
        self._lease_s = lease_s

    def __enter__(self) -> BlobJobs:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._container.close()

    def storage(self, job_id: str) -> JobStorage:
        return BlobStorage(self._container, job_id, self._clock, self._lease_s)

    def job_ids(self) -> list[str]:
        with _errors(f"the journals in {_named(self._container)}"):
            return sorted({name.partition("/")[0] for name in self._container.list_blob_names() if "/journal/" in name})


class BlobStorage:
    """See the module and `JobStorage`."""

    def __init__(self, container: Any, job_id: str, clock: Clock, lease_s: float) -> None:
        self._container = container
        self._job_id = job_id
        self._clock = clock
        self._lease_s = lease_s
        self._token = uuid.uuid4().hex
        self._etag = ""
        self._lost = ""
        self._next = 0
        self._over = threading.Event()
        self._renewing: threading.Thread | None = None

    @property
    def place(self) -> str:
        return _named(self._container)

    @property
    def look_every_s(self) -> float:
        return LOOK_S

    def exists(self) -> bool:
        return bool(self._segments())

    def put(self, name: str, note: bytes) -> None:
        with self._errors():
            self._blob(name).upload_blob(note, overwrite=True)

    def get(self, name: str) -> bytes | None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._errors():
            try:
                return bytes(self._blob(name).download_blob().readall())
            except ResourceNotFoundError:
                return None

    def drop(self, name: str) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        with self._errors(), suppress(ResourceNotFoundError):
            self._blob(name).delete_blob()

    def acquire(self, holder: str) -> None:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceNotFoundError

        lease = self._blob("lease")
        options: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        with self._errors():
            try:
                found = lease.download_blob()
                held, etag = json.loads(found.readall()), found.properties.etag
                if held["until"] > self._clock.now():
                    raise JournalBusyError(
                        f"{self._job_id} is being worked on by {held['holder']}, whose lease runs until "
                        f"{iso(held['until'])[:19]} (UTC): wait, or cancel it"
                    )
                options = {"match_condition": MatchConditions.IfNotModified, "etag": etag}
            except ResourceNotFoundError:
                pass
            self._etag = self._write_lease(holder, **options)
        if not self._etag:
            raise JournalBusyError(f"somebody else just began to work on {self._job_id}: try again")
        self._next = max((_number(name) for name in self._names("journal/")), default=0) + 1
        self._over.clear()
        self._renewing = threading.Thread(target=self._renew, args=(holder,), name="lease", daemon=True)
        self._renewing.start()

    def release(self) -> None:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        self._over.set()
        if self._renewing is not None:
            self._renewing.join()
            self._renewing = None
        if not self._lost:
            with self._errors(), suppress(ResourceModifiedError, ResourceNotFoundError):
                self._blob("lease").delete_blob(etag=self._etag, match_condition=MatchConditions.IfNotModified)

    def create(self) -> bool:
        return not self.exists()

    def append(self, data: bytes) -> None:
        self._add(data, "")

    def replace(self, data: bytes) -> None:
        self._add(data, START)

    def lines(self) -> Iterator[bytes]:
        for name in self._segments():
            with self._errors():
                data = self._container.download_blob(name).readall()
            yield from data.splitlines(keepends=True)

    def _add(self, data: bytes, kind: str) -> None:
        """A segment that nobody wrote before."""
        from azure.core.exceptions import ResourceExistsError

        if self._lost:
            raise StoreError(f"the lease on {self._job_id} was lost: {self._lost}; nothing more is written")
        segment = self._blob(f"journal/{self._next:08}{kind}")
        with self._errors():
            try:
                segment.upload_blob(data, metadata={WRITER: self._token})
            except ResourceExistsError:
                if segment.get_blob_properties().metadata.get(WRITER) != self._token:
                    raise StoreError(
                        f"somebody else writes to the journal of {self._job_id}: this run ends; "
                        "edgeyard job journals tells how far they are"
                    ) from None
        self._next += 1

    def _segments(self) -> list[str]:
        """The segments that count."""
        names = self._names("journal/")
        begin = max((place for place, name in enumerate(names) if name.endswith(START)), default=0)
        return names[begin:]

    def _names(self, folder: str) -> list[str]:
        with self._errors():
            return sorted(self._container.list_blob_names(name_starts_with=f"{self._job_id}/{folder}"))

    def _blob(self, name: str) -> Any:
        return self._container.get_blob_client(f"{self._job_id}/{name}")

    def _lease_text(self, holder: str) -> bytes:
        until = self._clock.now() + self._lease_s
        return json.dumps({"holder": holder, "until": until, "token": self._token, "process": os.getpid()}).encode()

    def _write_lease(self, holder: str, **condition: Any) -> str:
        """Its new ETag, or "" where it is somebody else's.

        The client tries again when an answer is lost, and is then refused for what its first try did.
        """
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

        lease = self._blob("lease")
        with suppress(ResourceExistsError, ResourceModifiedError):
            return str(lease.upload_blob(self._lease_text(holder), overwrite=True, **condition)["etag"])
        try:
            found = lease.download_blob()
            own = json.loads(found.readall())["token"] == self._token
        except ResourceNotFoundError:
            return ""
        return str(found.properties.etag) if own else ""

    def _renew(self, holder: str) -> None:
        """Until the end; a lease that cannot be renewed in its time is lost, and whoever took it keeps it."""
        from azure.core import MatchConditions
        from azure.core.exceptions import AzureError

        good_until = self._clock.monotonic() + self._lease_s
        while not self._over.wait(self._lease_s / RENEWED_PER_LEASE):
            begun = self._clock.monotonic()
            try:
                etag = self._write_lease(holder, etag=self._etag, match_condition=MatchConditions.IfNotModified)
            except AzureError:
                if self._clock.monotonic() > good_until:
                    self._lost = "it could not be renewed"
                    return
                continue
            if not etag:
                self._lost = "another took it"
                return
            self._etag, good_until = etag, begun + self._lease_s

    def _errors(self) -> AbstractContextManager[None]:
        return _errors(f"the journal of {self._job_id} in {self.place}")


@contextmanager
def _errors(what: str) -> Iterator[None]:
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        reason = getattr(error, "error_code", None) or type(error).__name__
        raise StoreError(f"{what} cannot be reached: {reason}") from error


def _named(container: Any) -> str:
    return f"container {container.container_name} of {container.account_name}"


def _container(place: str, ca_file: str | None) -> Any:
    """A client of the container; what `place` holds of secrets appears in no message."""
    try:
        from azure.storage.blob import ContainerClient
    except ImportError:
        raise InputError("a journal in a container needs: pip install 'edgeyard[azure]'") from None
    options: dict[str, Any] = {"connection_verify": ca_file} if ca_file else {}
    if "AccountName=" in place:
        text, _, name = place.rpartition(";Container=")
        if not text or not name:
            raise InputError("--journal: after the connection string of a storage account write ;Container=NAME")
        try:
            return ContainerClient.from_connection_string(text, name, **options)
        except ValueError:
            raise InputError("--journal: this is no connection string of a storage account") from None
    parts = urlsplit(place)
    if not parts.path.strip("/") or "sig=" not in parts.query:
        raise InputError("--journal: write the URL of a container with its SAS, https://ACCOUNT…/CONTAINER?…&sig=…")
    return ContainerClient.from_container_url(place, **options)


def _number(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(START))
