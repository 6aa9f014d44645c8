"""File upload as one part of the hub: options, storage, uploads and their notifications, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from iot_core.clock import Clock
from iot_core.storage.account import StorageAccount
from local_hub.blobs.account import account_at, load_account_key
from local_hub.blobs.blob_store import BlobStore
from local_hub.controls.faults import Faults
from local_hub.files.notifications import FileNotifications
from local_hub.files.options import BUILT_IN, OFF, FileUploadOptions
from local_hub.files.storage import BuiltInStorage, ExternalStorage
from local_hub.files.uploads import FileUploads
from local_hub.home import HubHome
from transport.store import Store

if TYPE_CHECKING:
    from local_hub.blobs.endpoint import BlobEndpoint

__all__ = ["FileUpload"]


class FileUpload:
    """``start`` before anything else. ConnectionStringError, when made, for a storage that is none.

    ``service_host`` is the hub as services call it, to be set before ``start`` by who knows it.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        token_clock: Clock,
        home: HubHome,
        options: FileUploadOptions,
        durability: Literal["full", "normal"],
        faults: Faults,
    ) -> None:
        self._faults = faults
        self._store = store
        self._token_clock = token_clock
        self._options = options
        self._key = ""
        self.blobs = BlobStore(store, clock, home.blobs, durability)
        self.notifications = FileNotifications(store, clock, options.notifications)
        self.uploads = FileUploads(store, clock, token_clock, options, self.notifications)
        self._blob_endpoint: BlobEndpoint | None = None
        self.service_host: str | None = None
        if options.storage not in (BUILT_IN, OFF):
            account = StorageAccount.parse(options.storage)
            self.uploads.storage = ExternalStorage(account, options.container, token_clock.now)

    @property
    def blob_endpoint(self) -> BlobEndpoint | None:
        """What serves the built-in storage on the HTTPS port; None when another is configured, or none."""
        if self._blob_endpoint is None and self._key:
            from local_hub.blobs.endpoint import BlobEndpoint  # with its first request: few hubs are asked for a blob

            self._blob_endpoint = BlobEndpoint(self.blobs, self._token_clock, self._key, self._faults)
        return self._blob_endpoint

    async def start(self) -> None:
        """Make what the built-in storage needs, and take up the notifications that wait."""
        if self._options.storage == BUILT_IN:
            self._key = await load_account_key(self._store)
            await self.blobs.start()
            await self.blobs.ensure_container(self._options.container)
            self.uploads.storage = BuiltInStorage(self.blobs, self._key, self._options.container, self.service_host)
        await self.notifications.start()

    async def stop(self) -> None:
        """Finish what has begun."""
        await self.notifications.stop()

    def connection_string(self, host: str) -> str | None:
        """For services that read what devices uploaded; ``host`` may carry a port. None without built-in storage."""
        return str(account_at(host, self._key)) if self._key else None
