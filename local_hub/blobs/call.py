"""One request to the blob endpoint as its operations see it, and the answer they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from iot_core.storage.refusals import refused
from local_hub.blobs.blob_store import BlobStore, Content
from local_hub.blobs.conditions import check_write
from local_hub.blobs.receiving import Body
from local_hub.blobs.rows import Blob

__all__ = ["Call", "Reply", "Streamed"]


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Bytes of a blob, at the offsets ``wanted``, that are sent as they are read."""

    content: Content
    wanted: range


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A status, headers beside those every answer has, and a body: bytes, or a part of a blob."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    streamed: Streamed | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that was allowed. Names in ``query`` and ``headers`` are lower case, those in ``header_lines`` as they
    came; ``endpoint`` is the account's address as the client spells it.

    ``permissions`` are the letters of its signature, None when the account's key signed the request itself;
    ``overrides`` the headers that the signature sets in the reply.
    """

    blobs: BlobStore
    endpoint: str
    container: str
    blob: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    header_lines: Sequence[tuple[str, str]]
    body: Body
    permissions: str | None
    overrides: Mapping[str, str]
    stack: ExitStack
    """Unwinds when the answer has been sent."""

    @property
    def include(self) -> frozenset[str]:
        """What a listing shall have beside names and properties."""
        return frozenset(filter(None, self.query.get("include", "").lower().split(",")))

    def check_put(self, blob: Blob | None) -> None:
        """Judges the blob that this call replaces: conditions, and whether it may overwrite."""
        if blob is not None and self.permissions is not None and "w" not in self.permissions:
            raise refused("AuthorizationPermissionMismatch")
        self.check_change(blob)

    def check_change(self, blob: Blob | None) -> None:
        """Judges the blob that this call changes by its conditional headers."""
        check_write(self.headers, blob)
