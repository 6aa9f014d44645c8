"""Names of containers, blobs, blocks and metadata.

Source: Azure Storage REST reference, "Naming and referencing containers, blobs, and metadata", "Put Block".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from iot_core.storage.refusals import refused

__all__ = [
    "check_blob_name",
    "check_block_id",
    "check_container_name",
    "metadata_from",
]

BLOB_NAME_CHARACTERS = 1024
BLOB_NAME_SEGMENTS = 254
BLOCK_ID_BYTES = 64
METADATA_BYTES = 8 * 1024
METADATA_PREFIX = "x-ms-meta-"

_CONTAINER = re.compile(r"(?!.*--)[a-z0-9][a-z0-9\-]{1,61}[a-z0-9]", re.ASCII)
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_container_name(name: str) -> str:
    """The name itself; StorageRefusal InvalidResourceName."""
    if _CONTAINER.fullmatch(name) is None:
        raise refused("InvalidResourceName")
    return name


def check_blob_name(name: str) -> str:
    """The name itself, any characters that XML can hold; StorageRefusal InvalidResourceName."""
    if not 1 <= len(name) <= BLOB_NAME_CHARACTERS or name.count("/") >= BLOB_NAME_SEGMENTS or not _in_xml(name):
        raise refused("InvalidResourceName")
    return name


def check_block_id(text: str) -> str:
    """The id itself, base64 of at most 64 bytes; StorageRefusal InvalidBlockId."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refused("InvalidBlockId") from None
    if not 1 <= len(decoded) <= BLOCK_ID_BYTES:
        raise refused("InvalidBlockId")
    return text


def metadata_from(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata in ``x-ms-meta-NAME`` headers, names as they came; StorageRefusal InvalidMetadata,
    MetadataTooLarge.
    """
    found: dict[str, str] = {}
    for header, value in headers:
        if not header.lower().startswith(METADATA_PREFIX):
            continue
        name = header[len(METADATA_PREFIX) :]
        if _METADATA_NAME.fullmatch(name) is None or not value.isprintable():
            raise refused("InvalidMetadata")
        found[name] = f"{found[name]},{value}" if name in found else value
    if sum(len(name) + len(value.encode()) for name, value in found.items()) > METADATA_BYTES:
        raise refused("MetadataTooLarge")
    return found


def _in_xml(text: str) -> bool:
    """Whether XML 1.0 can hold every character."""
    return all(
        (character >= " " and not "\ud800" <= character <= "\udfff" and character not in "\ufffe\uffff")
        for character in text
    )
