"""Containers and blobs, kept: rows in the hub's store, contents in files beside it.

What a call changed is on disk, contents included, when it returns. Whoever reads a blob reads all of one version.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from iot_core.clock import Clock
from iot_core.storage.refusals import StorageRefusal, refused
from local_hub.blobs import listing, rows
from local_hub.blobs.files import PartFiles
from local_hub.blobs.receiving import Body, Received, receive, wanted_checksums
from local_hub.blobs.rows import Blob, Block, Container, Part
from transport.store import Store

__all__ = ["BlobStore", "Check", "Content", "Described"]

KEEP_BLOCKS_S = 7 * 24 * 3600
"""How long a block waits for its block list ("Put Block")."""
MOST_BLOCKS = 50_000
"""In a blob ("Put Block List")."""
MOST_STAGED = 100_000
"""Blocks of a blob that wait ("Put Block")."""

T = TypeVar("T")
Check = Callable[[Blob | None], None]
"""Judges the blob that is there (None: there is none) before a change of it; raises StorageRefusal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What is told of a blob: headers that carry its properties, and its metadata."""

    properties: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A blob and where its bytes are."""

    blob: Blob
    parts: Sequence[Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    blob: Blob | None
    unwanted: Sequence[str]


class BlobStore:
    """See the module; ``start`` before anything else. StorageRefusal says what cannot be done."""

    def __init__(self, store: Store, clock: Clock, folder: Path, durability: Literal["full", "normal"]) -> None:
        self._store = store
        self._clock = clock
        self.files = PartFiles(folder, durability)

    async def start(self) -> None:
        """Drop blocks that nobody came back for, and files that a crash left over."""
        oldest = self._clock.now() - KEEP_BLOCKS_S
        await self._store.write(lambda connection: rows.drop_old_blocks(connection, oldest))
        self.files.prepare(self._store.read(rows.files_in_use))

    # -- containers

    async def create_container(self, name: str, metadata: Mapping[str, str]) -> Container:
        """ContainerAlreadyExists."""
        now = self._clock.now()
        return await self._store.write(lambda connection: rows.create_container(connection, name, metadata, now))

    async def ensure_container(self, name: str) -> None:
        """Create it unless it is there."""
        with contextlib.suppress(StorageRefusal):
            await self.create_container(name, {})

    def container(self, name: str) -> Container:
        """ContainerNotFound."""
        return self._store.read(lambda connection: rows.need_container(connection, name))

    async def set_container_metadata(self, name: str, metadata: Mapping[str, str]) -> Container:
        """ContainerNotFound."""
        now = self._clock.now()
        return await self._store.write(lambda connection: rows.set_container_metadata(connection, name, metadata, now))

    async def delete_container(self, name: str) -> None:
        """With its blobs; ContainerNotFound."""
        await self._store.write(lambda connection: rows.delete_container(connection, name), after=self.files.remove)

    async def containers(self, request: listing.ListRequest) -> listing.ContainerPage:
        """A page of containers."""
        return await self._store.aread(lambda connection: listing.list_containers(connection, request))

    async def blobs(self, container: str, request: listing.ListRequest) -> listing.BlobPage:
        """A page of a container's blobs; ContainerNotFound."""
        return await self._store.aread(lambda connection: listing.list_blobs(connection, container, request))

    # -- blobs

    def blob(self, container: str, name: str) -> Blob:
        """BlobNotFound, ContainerNotFound."""
        return self._store.read(lambda connection: _need_blob(connection, container, name))

    @contextlib.contextmanager
    def content(self, container: str, name: str) -> Iterator[Content]:
        """A blob with its bytes, which stay readable while the block runs; BlobNotFound, ContainerNotFound."""

        def read(connection: sqlite3.Connection) -> Content:
            blob = _need_blob(connection, container, name)
            return Content(blob=blob, parts=rows.blob_parts(connection, blob))

        found = self._store.read(read)
        with self.files.held(found.parts):
            yield found

    def blocks(self, container: str, name: str) -> tuple[Blob | None, Sequence[Part], Sequence[Part]]:
        """The blob, its committed blocks in order and those that wait; BlobNotFound when there are neither."""

        def read(connection: sqlite3.Connection) -> tuple[Blob | None, Sequence[Part], Sequence[Part]]:
            rows.need_container(connection, container)
            blob = rows.find_blob(connection, container, name)
            staged = rows.staged_blocks(connection, container, name)
            if blob is None and not staged:
                raise refused("BlobNotFound")
            committed = [part for part in (rows.blob_parts(connection, blob) if blob else ()) if part.block]
            return blob, committed, staged

        return self._store.read(read)

    async def receive(self, headers: Mapping[str, str], length: int, body: Body) -> Received:
        """A body of ``length`` bytes, on disk; it must become part of a blob or be handed to ``files.remove``."""
        return await receive(body, length, wanted_checksums(headers), self.files.create())

    async def put(self, container: str, name: str, received: Received, said: Described, check: Check) -> Blob:
        """A blob of one piece, in place of what was there."""
        parts = [Part(file=received.file, size=received.size)]
        return await self._commit(received.file, container, name, lambda _connection: parts, said, check)

    async def put_block_list(
        self, container: str, name: str, blocks: Sequence[Block], said: Described, check: Check
    ) -> Blob:
        """A blob of blocks that were put before; InvalidBlockList."""
        if len(blocks) > MOST_BLOCKS:
            raise refused("BlockListTooLong")

        def choose(connection: sqlite3.Connection) -> Sequence[Part]:
            return rows.chosen_parts(connection, container, name, blocks)

        return await self._commit(None, container, name, choose, said, check)

    async def put_block(self, container: str, name: str, block: str, received: Received) -> None:
        """A block for a later block list; BlockCountExceedsLimit, and InvalidBlobOrBlock when the ids of the blob's
        blocks are not all of one length.
        """
        now = self._clock.now()
        part = Part(file=received.file, size=received.size, block=block)

        def work(connection: sqlite3.Connection) -> _Done:
            rows.need_container(connection, container)
            count, length = rows.staged_summary(connection, container, name)
            if count >= MOST_STAGED:
                raise refused("BlockCountExceedsLimit")
            if length not in (0, len(block)):
                raise refused("InvalidBlobOrBlock", "The block ids of a blob must all have one length.")
            return _Done(blob=None, unwanted=rows.stage_block(connection, container, name, part, now))

        await self._write(work, received.file)

    async def describe(self, container: str, name: str, change: Callable[[Blob], Described], check: Check) -> Blob:
        """Change properties or metadata; BlobNotFound, ContainerNotFound."""
        now = self._clock.now()

        def work(connection: sqlite3.Connection) -> Blob:
            blob = _need_blob(connection, container, name)
            check(blob)
            said = change(blob)
            return rows.set_blob(connection, blob, properties=said.properties, metadata=said.metadata, now=now)

        return await self._store.write(work)

    async def delete(self, container: str, name: str, check: Check) -> None:
        """BlobNotFound, ContainerNotFound."""

        def work(connection: sqlite3.Connection) -> Sequence[str]:
            blob = _need_blob(connection, container, name)
            check(blob)
            return rows.delete_blob(connection, blob)

        await self._store.write(work, after=self.files.remove)

    async def _commit(
        self,
        new_file: str | None,
        container: str,
        name: str,
        choose: Callable[[sqlite3.Connection], Sequence[Part]],
        said: Described,
        check: Check,
    ) -> Blob:
        now = self._clock.now()

        def work(connection: sqlite3.Connection) -> _Done:
            rows.need_container(connection, container)
            check(rows.find_blob(connection, container, name))
            parts = choose(connection)
            blob, unwanted = rows.commit_blob(
                connection, container, name, parts, properties=said.properties, metadata=said.metadata, now=now
            )
            return _Done(blob=blob, unwanted=unwanted)

        blob = (await self._write(work, new_file)).blob
        assert blob is not None
        return blob

    async def _write(self, work: Callable[[sqlite3.Connection], _Done], new_file: str | None) -> _Done:
        """A change that a new file is part of. What is refused leaves no file; after any other failure it may be in
        use, and the next start sees to it.
        """
        try:
            return await self._store.write(work, after=lambda done: self.files.remove(done.unwanted))
        except StorageRefusal:
            self.files.remove([new_file] if new_file else [])
            raise


def _need_blob(connection: sqlite3.Connection, container: str, name: str) -> Blob:
    blob = rows.find_blob(connection, container, name)
    if blob is None:
        rows.need_container(connection, container)
        raise refused("BlobNotFound")
    return blob
