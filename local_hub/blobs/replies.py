"""What replies say of blobs and containers, as headers."""

from __future__ import annotations

from collections.abc import Mapping

from local_hub.blobs.call import Call
from local_hub.blobs.rows import Blob, Container
from local_hub.blobs.xml import http_date

__all__ = ["XML", "blob_headers", "changed_headers", "container_headers", "metadata_headers"]

XML = {"Content-Type": "application/xml"}

_NOT_LEASED = {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"}


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"x-ms-meta-{name}": value for name, value in metadata.items()}


def changed_headers(thing: Blob | Container) -> dict[str, str]:
    """Which version of it there is now."""
    return {"ETag": f'"{thing.etag}"', "Last-Modified": http_date(thing.modified)}


def blob_headers(call: Call, blob: Blob) -> dict[str, str]:
    """Everything about a blob that a read of it tells."""
    return {
        **changed_headers(blob),
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-creation-time": http_date(blob.created),
        "x-ms-server-encrypted": "true",
        **_NOT_LEASED,
        **metadata_headers(blob.metadata),
        **blob.properties,
        **call.overrides,
    }


def container_headers(container: Container) -> dict[str, str]:
    """Everything about a container that a read of it tells."""
    return {
        **changed_headers(container),
        **_NOT_LEASED,
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
        **metadata_headers(container.metadata),
    }
