"""The XML that the blob service speaks (Azure Storage REST reference, "Put Block List", "List Blobs", "Status and error
codes").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from email.utils import formatdate
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from iot_core.clock import iso
from iot_core.storage.names import check_block_id
from iot_core.storage.refusals import StorageRefusal, refused
from local_hub.blobs.listing import BlobPage, ContainerPage, ListRequest
from local_hub.blobs.rows import Blob, Block, Container, Part

__all__ = [
    "blob_page",
    "block_list",
    "container_page",
    "error",
    "http_date",
    "read_block_list",
]

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
_SOURCES = ("Committed", "Uncommitted", "Latest")


def http_date(timestamp: float) -> str:
    """Unix seconds as HTTP headers spell them."""
    return formatdate(int(timestamp), usegmt=True)


def error(refusal: StorageRefusal, request_id: str, now: float) -> bytes:
    """The body of a refusal."""
    message = f"{refusal.message}\nRequestId:{request_id}\nTime:{iso(now)}"
    return _document(_element("Error", Code=refusal.code, Message=message, **refusal.details))


def read_block_list(body: bytes) -> list[Block]:
    """The body of Put Block List; StorageRefusal InvalidXmlDocument, InvalidBlockId."""
    # A document type could define entities that grow without bounds, and no client sends one.
    if b"<!" in body:
        raise refused("InvalidXmlDocument")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise refused("InvalidXmlDocument") from None
    if root.tag != "BlockList" or any(item.tag not in _SOURCES for item in root):
        raise refused("InvalidXmlDocument")
    return [Block(id=check_block_id((item.text or "").strip()), source=item.tag) for item in root]


def block_list(committed: Iterable[Part] | None, uncommitted: Iterable[Part] | None) -> bytes:
    """The body of Get Block List; None leaves a list out."""
    lists = (("CommittedBlocks", committed), ("UncommittedBlocks", uncommitted))
    return _document(
        _wrap("BlockList", *(_wrap(name, *map(_block, parts)) for name, parts in lists if parts is not None))
    )


def container_page(endpoint: str, request: ListRequest, page: ContainerPage, *, with_metadata: bool) -> bytes:
    """The body of List Containers."""
    items = [_container(item, with_metadata) for item in page.items if isinstance(item, Container)]
    return _results(f"ServiceEndpoint={quoteattr(endpoint)}", request, _wrap("Containers", *items), page.next)


def blob_page(endpoint: str, container: str, request: ListRequest, page: BlobPage, *, with_metadata: bool) -> bytes:
    """The body of List Blobs."""
    items = [
        _wrap("BlobPrefix", _element("Name", item)) if isinstance(item, str) else _blob(item, with_metadata)
        for item in page.items
    ]
    attributes = f"ServiceEndpoint={quoteattr(endpoint)} ContainerName={quoteattr(container)}"
    return _results(attributes, request, _wrap("Blobs", *items), page.next)


def _results(attributes: str, request: ListRequest, items: str, marker: str) -> bytes:
    asked = {"Prefix": request.prefix, "Marker": request.marker, "Delimiter": request.delimiter}
    head = "".join(_element(name, value) for name, value in asked.items() if value)
    most = _element("MaxResults", str(request.most))
    tail = _element("NextMarker", marker) if marker else "<NextMarker />"
    return _document(f"<EnumerationResults {attributes}>{head}{most}{items}{tail}</EnumerationResults>")


def _block(part: Part) -> str:
    return _element("Block", Name=part.block, Size=str(part.size))


def _container(container: Container, with_metadata: bool) -> str:
    properties = {
        "Last-Modified": http_date(container.modified),
        "Etag": f'"{container.etag}"',
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "HasImmutabilityPolicy": "false",
        "HasLegalHold": "false",
    }
    metadata = _element("Metadata", **container.metadata) if with_metadata else ""
    return _wrap("Container", _element("Name", container.name), _element("Properties", **properties), metadata)


def _blob(blob: Blob, with_metadata: bool) -> str:
    names: Sequence[str] = (
        "Content-Type",
        "Content-Encoding",
        "Content-Language",
        "Content-MD5",
        "Cache-Control",
        "Content-Disposition",
    )
    properties = {
        "Creation-Time": http_date(blob.created),
        "Last-Modified": http_date(blob.modified),
        "Etag": blob.etag,
        "Content-Length": str(blob.size),
        **{name: blob.properties.get(name, "") for name in names},
        "BlobType": "BlockBlob",
        "LeaseStatus": "unlocked",
        "LeaseState": "available",
        "ServerEncrypted": "true",
    }
    metadata = _element("Metadata", **blob.metadata) if with_metadata else ""
    return _wrap("Blob", _element("Name", blob.name), _element("Properties", **properties), metadata)


def _element(tag: str, text: str = "", /, **children: str) -> str:
    return _wrap(tag, escape(text), *(_wrap(name, escape(value)) for name, value in children.items()))


def _wrap(tag: str, *content: str) -> str:
    inner = "".join(content)
    return f"<{tag}>{inner}</{tag}>" if inner else f"<{tag} />"


def _document(text: str) -> bytes:
    return f"{_DECLARATION}{text}".encode()
