"""Reads of blobs (Azure Storage REST reference, "Get Blob", "Get Blob Properties", "Get Block List")."""

from __future__ import annotations

import base64
import hashlib

from iot_core.storage import ranges
from iot_core.storage.crc64 import Crc64
from iot_core.storage.refusals import refused
from local_hub.blobs import xml
from local_hub.blobs.blob_store import Content
from local_hub.blobs.call import Call, Reply, Streamed
from local_hub.blobs.conditions import check_read
from local_hub.blobs.receiving import CRC64_HEADER
from local_hub.blobs.replies import XML, blob_headers, changed_headers, metadata_headers

__all__ = ["get_blob", "get_block_list", "get_metadata", "get_properties"]

CHECKED_RANGE_BYTES = 4 * 1024 * 1024
"""The longest range whose checksum may be asked for; it is in memory then."""

_MD5 = "Content-MD5"


async def get_blob(call: Call) -> Reply:
    """200 and the whole blob, or 206 and a range of it."""
    content = call.stack.enter_context(call.blobs.content(call.container, call.blob))
    blob = content.blob
    check_read(call.headers, blob)
    wanted = ranges.requested(call.headers.get("x-ms-range") or call.headers.get("range"), blob.size)
    headers = blob_headers(call, blob)
    if wanted is None:
        return Reply(headers=headers, streamed=Streamed(content=content, wanted=range(blob.size)))
    if whole_md5 := headers.pop(_MD5, None):
        headers["x-ms-blob-content-md5"] = whole_md5
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{blob.size}"
    headers |= await _checksums(call, content, wanted)
    return Reply(status=206, headers=headers, streamed=Streamed(content=content, wanted=wanted))


async def get_properties(call: Call) -> Reply:
    blob = call.blobs.blob(call.container, call.blob)
    check_read(call.headers, blob)
    return Reply(headers={**blob_headers(call, blob), "Content-Length": str(blob.size)})


async def get_metadata(call: Call) -> Reply:
    blob = call.blobs.blob(call.container, call.blob)
    check_read(call.headers, blob)
    return Reply(headers={**changed_headers(blob), **metadata_headers(blob.metadata)})


async def get_block_list(call: Call) -> Reply:
    kind = call.query.get("blocklisttype", "committed").lower()
    if kind not in ("committed", "uncommitted", "all"):
        raise refused("InvalidQueryParameterValue", QueryParameterName="blocklisttype")
    blob, committed, uncommitted = call.blobs.blocks(call.container, call.blob)
    body = xml.block_list(committed if kind != "uncommitted" else None, uncommitted if kind != "committed" else None)
    size = {"x-ms-blob-content-length": str(blob.size if blob else 0)}
    return Reply(headers={**XML, **size, **(changed_headers(blob) if blob else {})}, body=body)


async def _checksums(call: Call, content: Content, wanted: range) -> dict[str, str]:
    """Checksums of the range, as far as the request asks for them."""
    asked = {
        name: call.headers.get(f"x-ms-range-get-content-{name}", "").lower() == "true" for name in ("md5", "crc64")
    }
    if not any(asked.values()):
        return {}
    if len(wanted) > CHECKED_RANGE_BYTES:
        raise refused("OutOfRangeQueryParameterValue", "Checksums are given of 4 MiB at most.")
    data = b"".join([piece async for piece in call.blobs.files.read(content.parts, wanted)])
    found: dict[str, bytes] = {}
    if asked["md5"]:
        found[_MD5] = hashlib.md5(data, usedforsecurity=False).digest()
    if asked["crc64"]:
        crc64 = Crc64()
        crc64.update(data)
        found[CRC64_HEADER] = crc64.digest()
    return {name: base64.b64encode(value).decode() for name, value in found.items()}
