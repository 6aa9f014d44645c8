"""Changes of blobs (Azure Storage REST reference, "Put Blob", "Put Block", "Put Block List", "Set Blob Properties",
"Set Blob Metadata", "Delete Blob").
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from iot_core.storage.names import check_block_id, metadata_from
from iot_core.storage.refusals import refused
from local_hub.blobs import xml
from local_hub.blobs.blob_store import Described
from local_hub.blobs.call import Call, Reply
from local_hub.blobs.receiving import body_length, receive_text, wanted_checksums
from local_hub.blobs.replies import changed_headers
from local_hub.blobs.rows import Blob

__all__ = ["delete_blob", "put_blob", "put_block", "put_block_list", "set_metadata", "set_properties"]

MIB = 1024 * 1024
MOST_BLOB_BYTES = 5000 * MIB
MOST_BLOCK_BYTES = 4000 * MIB
MOST_LIST_BYTES = 8 * MIB
"""50,000 blocks, each with an id of 88 characters between its tags, take 6 MiB."""

_TYPES = {"AppendBlob": "append blobs", "PageBlob": "page blobs"}
_ENCRYPTED = {"x-ms-request-server-encrypted": "true"}
_DEFAULT_TYPE = "application/octet-stream"
_PROPERTIES = ("Content-Type", "Content-Encoding", "Content-Language", "Content-MD5", "Cache-Control")
_DISPOSITION = "Content-Disposition"


async def put_blob(call: Call) -> Reply:
    """A whole block blob; 201."""
    kind = call.headers.get("x-ms-blob-type")
    if kind is None:
        raise refused("MissingRequiredHeader", HeaderName="x-ms-blob-type")
    if kind in _TYPES:
        raise refused("NotImplemented", f"{_TYPES[kind]}: not built in this local hub, which has block blobs.")
    if kind != "BlockBlob":
        raise refused("InvalidHeaderValue", HeaderName="x-ms-blob-type", HeaderValue=kind[:100])
    length = body_length(call.headers, MOST_BLOB_BYTES)
    call.blobs.container(call.container)
    received = await call.blobs.receive(call.headers, length, call.body)
    properties = {
        "Content-MD5": base64.b64encode(received.md5).decode(),
        **_content_headers(call.headers),
        **_blob_headers(call.headers),
    }
    said = Described(properties=properties, metadata=metadata_from(call.header_lines))
    blob = await call.blobs.put(call.container, call.blob, received, said, call.check_put)
    return Reply(status=201, headers={**changed_headers(blob), **received.headers, **_ENCRYPTED})


async def put_block(call: Call) -> Reply:
    """A block that a block list will name; 201."""
    block = check_block_id(call.query.get("blockid", ""))
    length = body_length(call.headers, MOST_BLOCK_BYTES)
    if length == 0:
        raise refused("InvalidHeaderValue", HeaderName="Content-Length", HeaderValue="0")
    call.blobs.container(call.container)
    received = await call.blobs.receive(call.headers, length, call.body)
    await call.blobs.put_block(call.container, call.blob, block, received)
    return Reply(status=201, headers={**received.headers, **_ENCRYPTED})


async def put_block_list(call: Call) -> Reply:
    """A blob of the blocks in the body; 201."""
    length = body_length(call.headers, MOST_LIST_BYTES)
    text = await receive_text(call.body, length, wanted_checksums(call.headers))
    said = Described(
        properties={"Content-Type": _DEFAULT_TYPE, **_blob_headers(call.headers)},
        metadata=metadata_from(call.header_lines),
    )
    blocks = xml.read_block_list(text)
    blob = await call.blobs.put_block_list(call.container, call.blob, blocks, said, call.check_put)
    return Reply(status=201, headers={**changed_headers(blob), **_ENCRYPTED})


async def set_properties(call: Call) -> Reply:
    """All of them at once: what the request leaves out is cleared."""

    def change(blob: Blob) -> Described:
        return Described(properties=_blob_headers(call.headers), metadata=blob.metadata)

    blob = await call.blobs.describe(call.container, call.blob, change, call.check_change)
    return Reply(headers=changed_headers(blob))


async def set_metadata(call: Call) -> Reply:
    """All of it at once."""
    metadata = metadata_from(call.header_lines)

    def change(blob: Blob) -> Described:
        return Described(properties=blob.properties, metadata=metadata)

    blob = await call.blobs.describe(call.container, call.blob, change, call.check_change)
    return Reply(headers={**changed_headers(blob), **_ENCRYPTED})


async def delete_blob(call: Call) -> Reply:
    """202; there are no snapshots, so none can be asked for alone."""
    if call.headers.get("x-ms-delete-snapshots", "include").lower() != "include":
        raise refused("NotImplemented", "snapshots: not built in this local hub.")
    await call.blobs.delete(call.container, call.blob, call.check_change)
    return Reply(status=202, headers={"x-ms-delete-type-permanent": "true"})


def _content_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Properties as a whole blob may bring them: by the headers of its own body, but for the checksum."""
    found = {name: headers[name.lower()] for name in _PROPERTIES if name.lower() in headers}
    found.pop("Content-MD5", None)
    return {"Content-Type": _DEFAULT_TYPE, **found}


def _blob_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Properties in ``x-ms-blob-`` headers, which count for every operation."""
    names = (*_PROPERTIES, _DISPOSITION)
    return {name: value for name in names if (value := headers.get(f"x-ms-blob-{name.lower()}"))}
