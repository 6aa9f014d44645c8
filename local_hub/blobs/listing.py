"""Pages of containers and blobs (Azure Storage REST reference, "List Containers", "List Blobs")."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from iot_core.storage.refusals import refused
from local_hub.blobs.rows import Blob, Container, blob_of, container_of, need_container

__all__ = ["BlobPage", "ContainerPage", "ListRequest", "Page", "list_blobs", "list_containers"]

PAGE_MAX = 5000

_LAST = "\U0010ffff"
"""Sorts after everything that a name may go on with."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRequest:
    """What a page is asked for; ``marker`` is the ``next`` of the page before."""

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    most: int = PAGE_MAX

    @classmethod
    def read(cls, query: Mapping[str, str]) -> ListRequest:
        """StorageRefusal OutOfRangeQueryParameterValue, InvalidQueryParameterValue."""
        text = query.get("maxresults", str(PAGE_MAX))
        if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) == 0:
            raise refused("OutOfRangeQueryParameterValue", QueryParameterName="maxresults")
        return cls(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            marker=query.get("marker", ""),
            most=min(int(text), PAGE_MAX),
        )

    @property
    def after(self) -> str:
        """Names up to here were given before."""
        try:
            return base64.b64decode(self.marker, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            raise refused("InvalidQueryParameterValue", QueryParameterName="marker") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """``items`` in the order of their names; a text stands for all names that begin with it. ``next`` is empty on the
    last page.
    """

    items: Sequence[T | str]
    next: str


ContainerPage = Page[Container]
BlobPage = Page[Blob]


def list_containers(connection: sqlite3.Connection, request: ListRequest) -> ContainerPage:
    def rows(first: str, after: str) -> Sequence[Container]:
        found = connection.execute(
            "SELECT name, etag, modified, metadata FROM blob_containers WHERE name >= ? AND name > ? "
            "ORDER BY name LIMIT ?",
            (first, after, request.most + 1),
        )
        return [container_of(row) for row in found]

    return _page(request, rows, lambda container: container.name)


def list_blobs(connection: sqlite3.Connection, container: str, request: ListRequest) -> BlobPage:
    """StorageRefusal ContainerNotFound."""
    need_container(connection, container)

    def rows(first: str, after: str) -> Sequence[Blob]:
        found = connection.execute(
            "SELECT id, container, name, etag, created, modified, size, properties, metadata FROM blobs "
            "WHERE container = ? AND name >= ? AND name > ? ORDER BY name LIMIT ?",
            (container, first, after, request.most + 1),
        )
        return [blob_of(row) for row in found]

    return _page(request, rows, lambda blob: blob.name)


def _page(request: ListRequest, rows: Callable[[str, str], Sequence[T]], name_of: Callable[[T], str]) -> Page[T]:
    items: list[T | str] = []
    after, batch = request.after, deque[T]()
    while True:
        batch = batch or deque(rows(request.prefix, after))
        if not batch or not name_of(batch[0]).startswith(request.prefix):
            return Page(items=items, next="")
        if len(items) == request.most:
            return Page(items=items, next=base64.urlsafe_b64encode(after.encode()).decode())
        item = batch.popleft()
        group = _group(name_of(item), request)
        if group is None:
            items.append(item)
            after = name_of(item)
            continue
        items.append(group)
        after = group + _LAST
        while batch and name_of(batch[0]).startswith(group):
            batch.popleft()


def _group(name: str, request: ListRequest) -> str | None:
    """The beginning of ``name`` up to the first delimiter after the prefix; None when there is no such."""
    end = name.find(request.delimiter, len(request.prefix)) if request.delimiter else -1
    return name[: end + len(request.delimiter)] if end >= 0 else None
