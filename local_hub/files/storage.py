"""Where devices put their files: the built-in blob endpoint, or a storage account elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from iot_core.hub_errors import hub_error
from iot_core.storage.account import StorageAccount
from iot_core.storage.refusals import StorageRefusal
from iot_core.storage.sas import blob_sas
from local_hub.blobs.account import account_at
from local_hub.blobs.blob_store import BlobStore

__all__ = ["BuiltInStorage", "Destination", "ExternalStorage", "FileStorage", "Stored"]

DEVICE_RIGHTS = "rw"
"""What a device may do with its blob, as in the service's own signatures."""
_ASK_S = 15.0
"""How long an account elsewhere may take to tell of a blob."""

_HOST = re.compile(r"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?", re.ASCII)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where one blob goes: ``https://{host_name}/{container}/{blob}{token}``; ``uri`` is where services find it."""

    host_name: str
    container: str
    token: str
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A blob that is there: its size in bytes and when it was last written (unix seconds)."""

    size: int
    modified: float


class FileStorage(Protocol):
    """One container of a storage account."""

    def destination(self, host: str, blob: str, expires: float) -> Destination:
        """Where a device puts ``blob`` until ``expires`` (unix seconds); ``host`` is the hub as the device calls it.

        HubError ArgumentInvalid for a host that is none.
        """

    async def find(self, blob: str) -> Stored | None:
        """The blob; None when it is not there. HubError when the account does not answer."""


class BuiltInStorage:
    """A container of the blob endpoint on the hub's HTTPS port, which is always there.

    ``service_host`` is the hub as services call it, where that is known; else they are told the host of the device.
    """

    def __init__(self, blobs: BlobStore, key: str, container: str, service_host: str | None) -> None:
        self._blobs = blobs
        self._key = key
        self._container = container
        self._service_host = service_host

    def destination(self, host: str, blob: str, expires: float) -> Destination:
        if _HOST.fullmatch(host) is None:
            raise hub_error(
                "ArgumentInvalid", "The Host header must be the hub's name, with its port where that is not 443."
            )
        for_services = account_at(self._service_host or host, self._key)
        return _destination(account_at(host, self._key), for_services, self._container, blob, expires)

    async def find(self, blob: str) -> Stored | None:
        try:
            found = self._blobs.blob(self._container, blob)
        except StorageRefusal:
            return None
        return Stored(size=found.size, modified=found.modified)


class ExternalStorage:
    """A container of an account elsewhere, Azurite's or a real one's; ``now`` gives unix seconds."""

    def __init__(self, account: StorageAccount, container: str, now: Callable[[], float]) -> None:
        self._account = account
        self._container = container
        self._now = now

    def destination(self, _host: str, blob: str, expires: float) -> Destination:
        return _destination(self._account, self._account, self._container, blob, expires)

    async def find(self, blob: str) -> Stored | None:
        token = blob_sas(self._account, self._container, blob, "r", self._now() + 60)
        url = self._account.url(_path(self._container, blob)) + token
        try:
            return await _ask(url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # Not the error's text, which may hold the address with its signature.
            _log.error("the storage account %s did not tell of a blob: %s", self._account.name, type(error).__name__)
            text = "The configured storage account does not answer as it should; the hub's log says more."
            raise hub_error("InvalidStorageEndpointOrBlob", text) from None


async def _ask(url: str) -> Stored | None:
    timeout = aiohttp.ClientTimeout(total=_ASK_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.head(URL(url, encoded=True)) as reply:
        if reply.status == 404:
            return None
        reply.raise_for_status()
        modified = parsedate_to_datetime(reply.headers.get("Last-Modified", ""))
        return Stored(size=int(reply.headers.get("Content-Length", "")), modified=modified.timestamp())


def _destination(
    account: StorageAccount, for_services: StorageAccount, container: str, blob: str, expires: float
) -> Destination:
    return Destination(
        host_name=account.host_name,
        container=container,
        token=blob_sas(account, container, blob, DEVICE_RIGHTS, expires),
        uri=for_services.url(_path(container, blob)),
    )


def _path(container: str, blob: str) -> str:
    return f"{container}/{quote(blob, safe='/~')}"
