"""A blob container, reached by its address with a shared access signature (Azure Storage REST reference, "Blob service
REST API"): the hub's own, Azurite's or a real one.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
from yarl import URL

from iot_core.errors import EdgeyardError, HubError
from iot_core.hub_errors import hub_error

__all__ = ["READ", "WRITE", "Container", "ContainerError", "Containers", "SignedContainers"]

READ, WRITE = "r", "rwdl"
"""What a signature must grant on the container that a job reads, and on the one it writes."""
_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=15)
"""For one request, of 4 MiB at most."""
_BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


class ContainerError(EdgeyardError):
    """The storage account did not do what it was asked."""


class Container(Protocol):
    """The blobs of one container; every call raises ContainerError."""

    async def size(self, blob: str) -> int | None:
        """Bytes in the blob; None when it is not there."""

    async def read(self, blob: str, start: int, length: int) -> bytes:
        """So many bytes of the blob from ``start`` on, fewer only at its end."""

    async def stage(self, blob: str, number: int, content: bytes) -> None:
        """Put the block of that number, of which ``commit`` makes the blob."""

    async def commit(self, blob: str, blocks: int) -> None:
        """The blob is what was staged, blocks 0 to ``blocks`` - 1."""


class Containers(Protocol):
    """Opens containers by their addresses."""

    async def check(self, address: str, rights: str) -> None:
        """Returns when the container can be reached; HubError BlobContainerValidationError."""

    def open(self, address: str) -> Container:
        """The container, not yet looked at."""


class SignedContainers:
    """Containers over HTTP and HTTPS; ``bundle`` is a file of authorities to trust, read when first needed."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._tls: ssl.SSLContext | None = None

    async def check(self, address: str, rights: str) -> None:
        """See Containers."""
        missing = set(rights) - set(_permissions(address))
        if missing:
            raise _not_valid(f"the signature does not grant {', '.join(sorted(missing))}")
        container = self.open(address)
        try:
            await container.look(lists="l" in rights)
        except ContainerError as error:
            raise _not_valid(str(error)) from None

    def open(self, address: str) -> SignedContainer:
        """See Containers."""
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=str(self._bundle) if self._bundle.is_file() else None)
        return SignedContainer(address, self._tls)


class SignedContainer:
    """See Container."""

    def __init__(self, address: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(address)
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._signature = parts.query
        self._tls = tls

    async def look(self, *, lists: bool) -> None:
        """Ask for something that a valid signature may have: a list of one blob, or a blob."""
        if lists:
            async with self._ask("GET", "", "restype=container&comp=list&maxresults=1") as reply:
                _check(reply, 200)
        else:
            async with self._ask("HEAD", "devices.txt") as reply:
                _check(reply, 200, 404)

    async def size(self, blob: str) -> int | None:
        """See Container."""
        async with self._ask("HEAD", blob) as reply:
            if reply.status == 404:
                return None
            _check(reply, 200)
            return int(reply.headers.get("Content-Length", "0"))

    async def read(self, blob: str, start: int, length: int) -> bytes:
        """See Container."""
        headers = {"x-ms-range": f"bytes={start}-{start + length - 1}"}
        async with self._ask("GET", blob, headers=headers) as reply:
            _check(reply, 200, 206)
            return await reply.read()

    async def stage(self, blob: str, number: int, content: bytes) -> None:
        """See Container."""
        query = f"comp=block&blockid={quote(_block_id(number), safe='')}"
        async with self._ask("PUT", blob, query, data=content) as reply:
            _check(reply, 201)

    async def commit(self, blob: str, blocks: int) -> None:
        """See Container."""
        if blocks == 0:
            async with self._ask("PUT", blob, headers=_BLOCK_BLOB, data=b"") as reply:
                _check(reply, 201)
            return
        names = "".join(f"<Latest>{_block_id(number)}</Latest>" for number in range(blocks))
        text = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{names}</BlockList>'
        headers = {"x-ms-blob-content-type": "text/plain"}
        async with self._ask("PUT", blob, "comp=blocklist", headers=headers, data=text.encode("ascii")) as reply:
            _check(reply, 201)

    @asynccontextmanager
    async def _ask(
        self,
        verb: str,
        blob: str,
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        path = f"{self._base}/{quote(blob, safe='/~')}" if blob else self._base
        url = URL(f"{path}?{'&'.join(filter(None, (query, self._signature)))}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False) as session,
                session.request(verb, url, headers=headers, data=data, ssl=self._tls, allow_redirects=False) as reply,
            ):
                yield reply
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # Not the error's text, which may hold the address with its signature.
            raise ContainerError(f"the storage account does not answer ({type(error).__name__})") from None


def _permissions(address: str) -> Sequence[str]:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path.strip("/"):
        raise _not_valid("the URI is not the http or https address of a container")
    fields = parse_qs(parts.query)
    if not fields.get("sig"):
        raise _not_valid("the URI has no shared access signature")
    return fields.get("sp", [""])[0]


def _check(reply: aiohttp.ClientResponse, *wanted: int) -> None:
    if reply.status not in wanted:
        name = reply.headers.get("x-ms-error-code", "no error code")[:80]
        raise ContainerError(f"the storage account answered {reply.status}, {name}")


def _block_id(number: int) -> str:
    """Ids of one length, as a blob's must be."""
    return base64.b64encode(f"{number:08d}".encode("ascii")).decode("ascii")


def _not_valid(text: str) -> HubError:
    return hub_error("BlobContainerValidationError", f"The container cannot be used: {text}.")
